//! The program `phantom-ghost`: the tunnel server's certificates, and whether it does its work. Nobody else links TLS, so whoever
//! switches Ghost Mode on and off asks the program.

mod contract;
#[cfg(feature = "fake")]
pub mod fake;
mod process;

pub use contract::{
    Certificate, CertificateFault, CertificateRequest, DecoyCheck, Shown, Shows, TunnelCheck,
};
pub(crate) use process::{NAME, Program};
