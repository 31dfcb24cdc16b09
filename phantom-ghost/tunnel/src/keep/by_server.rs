//! Challenges that a running server answers on its own port.

use std::path::{Path, PathBuf};

use phantom_certs::challenge::{ChallengeError, ChallengeKind, Pending};
use phantom_certs::{ChallengeResponse, Challenger, with_causes};

use crate::config::KeyPem;
use crate::control::{Challenge, Control, ControlError};

/// Has `tls-alpn-01` answered by the server behind a control socket. Every call is a connection of its own, so that a
/// server that was restarted in between is no trouble.
#[derive(Clone, Debug)]
pub struct ByServer {
    path: PathBuf,
}

impl ByServer {
    /// The server behind this control socket.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    async fn set(&self, challenge: Challenge) -> Result<(), ControlError> {
        Control::connect(&self.path).await?.challenge(challenge).await
    }

    async fn unset(&self, sni: &str) -> Result<(), ControlError> {
        Control::connect(&self.path).await?.unchallenge(sni).await
    }
}

impl Challenger for ByServer {
    fn install<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, Result<(), ChallengeError>> {
        Box::pin(async move {
            let ChallengeResponse::TlsAlpn { sni, pair } = answer else {
                return Err(ChallengeError::NotOffered(ChallengeKind::Http));
            };
            let challenge = Challenge {
                sni: sni.clone(),
                certificate_pem: pair.chain_pem.clone(),
                key_pem: KeyPem::new(pair.key_pem.expose().to_owned()),
            };
            self.set(challenge).await.map_err(|error| ChallengeError::Refused(with_causes(&error)))
        })
    }

    fn remove<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, ()> {
        Box::pin(async move {
            if let ChallengeResponse::TlsAlpn { sni, .. } = answer {
                // A server that is gone has forgotten it anyway.
                drop(self.unset(sni).await);
            }
        })
    }
}
