//! What quinn needs besides a transport: keys, a certificate, and choices.

use std::sync::Arc;

use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{ClientConfig, MtuDiscoveryConfig, ServerConfig, TransportConfig};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::TLS13;
use rustls::{CipherSuite, RootCertStore};

use super::DATAGRAM;

/// The choices of the two ends.
#[derive(Clone)]
pub(crate) struct Configs {
    pub(crate) client: ClientConfig,
    pub(crate) server: Arc<ServerConfig>,
}

impl Configs {
    /// Those of [`Rustls`], with the transport's defaults.
    pub(crate) fn new() -> Self {
        let Rustls { client, server } = Rustls::new();
        let client = QuicClientConfig::try_from(client).expect("the suite of QUIC's first packets");
        let server = QuicServerConfig::try_from(server).expect("the suite of QUIC's first packets");
        let mut client = ClientConfig::new(Arc::new(client));
        client.transport_config(transport());
        let mut server = ServerConfig::with_crypto(Arc::new(server));
        server.transport_config(transport());
        Self { client, server: Arc::new(server) }
    }
}

/// What TLS needs at the two ends.
pub(crate) struct Rustls {
    pub(crate) client: rustls::ClientConfig,
    pub(crate) server: rustls::ServerConfig,
}

impl Rustls {
    /// A server with an Ed25519 key, and a client that trusts it. They are the same in every process, so that a
    /// server and its clients may be in two.
    pub(crate) fn new() -> Self {
        let key = PrivatePkcs8KeyDer::from([&PKCS8_HEAD[..], &[7; 32]].concat());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519).expect("a key");
        let parameters = CertificateParams::new([SERVER_NAME.to_owned()]).expect("a right name");
        let certificate = parameters.self_signed(&key).expect("a certificate").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key that rustls reads");
        Self { client: client(&certificate), server: server(certificate, key) }
    }
}

fn client(trusted: &CertificateDer<'static>) -> rustls::ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a right certificate");
    let builder = rustls::ClientConfig::builder_with_provider(provider());
    let mut tls = builder
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites for it")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Each handshake is a whole one.
    tls.resumption = Resumption::disabled();
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    tls
}

fn server(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> rustls::ServerConfig {
    let builder = rustls::ServerConfig::builder_with_provider(provider());
    let mut tls = builder
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites for it")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key of the certificate");
    // Nobody would use them.
    tls.send_tls13_tickets = 0;
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    tls
}

/// AWS-LC with the suites in rustls's order, of which the first is chosen, and X25519.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    let first = provider.cipher_suites.first().map(|suite| suite.suite());
    assert_eq!(first, Some(CipherSuite::TLS13_AES_256_GCM_SHA384), "the report says so");
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    Arc::new(provider)
}

/// The defaults, with datagrams of the size that all have here.
fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport.initial_mtu(DATAGRAM);
    transport.mtu_discovery_config(None::<MtuDiscoveryConfig>);
    Arc::new(transport)
}

/// What the certificate says, and the client expects.
pub(crate) const SERVER_NAME: &str = "localhost";

/// What is spoken over it: s2n-quic wants to know.
const PROTOCOL: &[u8] = b"bench";

/// What PKCS #8 has before the 32 bytes of an Ed25519 key (RFC 8410).
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
