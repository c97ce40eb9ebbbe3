// @sigstore/sign and @sigstore/verify as their users see them: one certificate from the CA at a URL.
//
//     get-certificate.cjs FULCIO_URL TOKEN_FILE TRUSTED_ROOT
//
// Prints the leaf as PEM. The signer looks at nothing in it, so the verifier then checks chain and
// SCT against the trusted root, as it would inside a bundle that was timestamped now.
// NODE_PATH names the folder the packages are in.
'use strict';

const fs = require('node:fs');
const { X509Certificate } = require('@sigstore/core');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { FulcioSigner } = require('@sigstore/sign');
const { Verifier, toTrustMaterial } = require('@sigstore/verify');

const [url, tokenFile, trustedRootFile] = process.argv.slice(2);

async function main() {
  const signer = new FulcioSigner({
    fulcioBaseURL: url,
    identityProvider: { getToken: async () => fs.readFileSync(tokenFile, 'utf8').trim() },
    // sigstore's own default. No retries: an answer that is late once is a failure here.
    timeout: 5000,
    retry: false,
  });
  const { key } = await signer.sign(Buffer.from('hello'));

  const trustedRoot = TrustedRoot.fromJSON(JSON.parse(fs.readFileSync(trustedRootFile, 'utf8')));
  const certificate = X509Certificate.parse(key.certificate);
  new Verifier(toTrustMaterial(trustedRoot), { ctlogThreshold: 1 }).verifySigningKey(
    { key: { $case: 'certificate', certificate } },
    [new Date()],
  );
  process.stdout.write(`${key.certificate.trim()}\n`);
}

main().catch((error) => {
  // The cause carries the server's own words.
  console.error(error, error.cause);
  process.exitCode = 1;
});
