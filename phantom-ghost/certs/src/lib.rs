//! Certificates of a TLS server: obtained by ACME (RFC 8555), handed in by an operator, or self-signed for tests.
//!
//! The crate checks certificates ([`inspect`](mod@inspect)), keeps them ([`store`]), obtains them ([`issue`](mod@issue), [`acme`])
//! and says when to renew them ([`schedule`]). It knows nothing of the server that uses them: a server that answers on its
//! own ports implements [`Challenger`], and programs talk to [`commands`] in JSON.
//!
//! ```
//! use phantom_certs::{inspect, self_sign};
//! use phantom_types::{HostName, Timestamp};
//!
//! let now = Timestamp::from_micros(1_757_380_307_000_000);
//! let name: HostName = "vpn.example.com".parse()?;
//! let pair = self_sign(&name, now)?;
//! assert_eq!(inspect(&pair, &name, now)?.not_before, now.minus(std::time::Duration::from_hours(1)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod acme;
mod causes;
pub mod challenge;
mod clock;
pub mod commands;

pub mod inspect;
pub mod issue;

mod pair;
pub mod schedule;
pub mod self_sign;
pub mod store;

pub use causes::with_causes;
pub use challenge::{ChallengeResponse, Challenger, Listeners, Split};
pub use clock::now;
pub use inspect::{Inspected, inspect};
pub use issue::{CertificateRequest, Issued, issue};

pub use pair::{CertificatePair, KeyPem};
pub use schedule::Schedule;
pub use self_sign::self_sign;
pub use store::CertStore;
