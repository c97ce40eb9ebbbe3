// @sigstore/sign as its users see it: one certificate from the CA at a URL.
//
//     get-certificate.cjs FULCIO_URL TOKEN_FILE
//
// Prints the leaf as PEM. NODE_PATH names the folder the packages are in.
'use strict';

const fs = require('node:fs');
const { FulcioSigner } = require('@sigstore/sign');

const [url, tokenFile] = process.argv.slice(2);

const signer = new FulcioSigner({
  fulcioBaseURL: url,
  identityProvider: { getToken: async () => fs.readFileSync(tokenFile, 'utf8').trim() },
  // sigstore's own default. No retries: an answer that is late once is a failure here.
  timeout: 5000,
  retry: false,
});

signer.sign(Buffer.from('hello')).then(
  ({ key }) => process.stdout.write(key.certificate.trim() + '\n'),
  (error) => {
    // The cause carries the server's own words.
    console.error(error, error.cause);
    process.exitCode = 1;
  },
);
