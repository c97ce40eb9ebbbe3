//! The crate sigstore-fulcio as its users see it: one certificate from the CA at a URL.
//!
//! `shortleaf-rust-client FULCIO_URL TOKEN_FILE` prints the leaf as PEM.

use anyhow::{Context, ensure};
use sigstore_crypto::KeyPair;
use sigstore_fulcio::FulcioClient;
use sigstore_oidc::IdentityToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("which URL?")?;
    let token_file = arguments.next().context("which token file?")?;
    let token = IdentityToken::from_jwt(std::fs::read_to_string(token_file)?.trim())?;

    let client = FulcioClient::new(url)?;
    let configuration = client.get_configuration().await?;
    ensure!(!configuration.issuers.is_empty(), "the CA names no issuer");

    let key = KeyPair::generate_ecdsa_p256()?;
    let certificate = client.create_signing_certificate(&token, &key).await?;
    ensure!(
        certificate.certificate_chain().len() >= 2,
        "the chain has no issuer"
    );
    print!("{}", certificate.leaf_certificate().to_pem());
    Ok(())
}
