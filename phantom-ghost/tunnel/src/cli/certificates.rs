//! `issue`, `inspect` and `self-sign`: one request in JSON on standard input, one line of JSON on standard output.

use std::io::Read as _;
use std::process::ExitCode;

use phantom_certs::commands::{self, Reply};
use phantom_certs::{Challenger, now};
use zeroize::Zeroizing;

use super::{say, usage};
use crate::keep::ByServer;
use crate::log;

/// Largest request.
const REQUEST_MAX: u64 = 64 * 1024;

const ISSUE: &str = "\
usage: phantom-ghost issue < REQUEST

Obtains a certificate by ACME, or says which stored one is still fresh. The request is one object in JSON:

  domain, directory, certs_dir        the name or address, the authority's URL, where certificates are kept
  ca_file                             certificates to trust when speaking to the authority
  control                             the control socket of a server that runs on the port
  listen, tls_alpn_port, http01_port  where to listen otherwise (all addresses, 443, 80)
  time_limit, renew                   in seconds (300); a new certificate in any case (false)

Prints cert_path, key_path, expires_at, reused and warnings; or an error, and exits with 1.
";

const INSPECT: &str = "\
usage: phantom-ghost inspect < REQUEST

Checks a certificate and key. The request is one object in JSON: cert_path, key_path, domain; at_any_time (false) if it need not
be valid now.
Prints not_before, expires_at and fingerprint_sha256; or an error that names what is wrong, and exits with 1.
";

const SELF_SIGN: &str = "\
usage: phantom-ghost self-sign < REQUEST

Makes a certificate that nobody vouches for, or says which stored one is still fresh. The request is one object in
JSON: domain, certs_dir. Prints cert_path, key_path, expires_at and reused; or an error, and exits with 1.
";

pub(super) fn issue(arguments: Vec<String>) -> ExitCode {
    answer(arguments, ISSUE, |request| {
        commands::issue(request, now, &|control| -> Box<dyn Challenger> { Box::new(ByServer::new(control)) })
    })
}

pub(super) fn inspect(arguments: Vec<String>) -> ExitCode {
    answer(arguments, INSPECT, |request| commands::inspect(request, now))
}

pub(super) fn self_sign(arguments: Vec<String>) -> ExitCode {
    answer(arguments, SELF_SIGN, |request| commands::self_sign(request, now))
}

fn answer(arguments: Vec<String>, help: &str, run: impl FnOnce(&[u8]) -> Reply) -> ExitCode {
    if let Some(argument) = arguments.into_iter().next() {
        return match argument.as_str() {
            "--help" | "-h" => say(help),
            _ => usage("this verb takes its request from standard input"),
        };
    }
    let mut request = Zeroizing::new(Vec::new());
    if let Err(error) = std::io::stdin().lock().take(REQUEST_MAX).read_to_end(&mut request) {
        log::line(format_args!("standard input cannot be read: {error}"));
        return ExitCode::FAILURE;
    }
    let reply = run(&request);
    match say(&(reply.line + "\n")) {
        ExitCode::SUCCESS => ExitCode::from(reply.exit_code),
        failure => failure,
    }
}
