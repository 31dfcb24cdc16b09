//! Pages that a web server keeps for its own machine, and shows to strangers all the same.

use std::io;
use std::time::Duration;

use phantom_types::HostName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::proxy::Ends;
use super::upstream;
use crate::config::WebServer;
use crate::secrets::Secret;

/// Where web servers keep what is for their own machine: Apache's state and configuration, the counters of nginx, of PHP's
/// FPM and of lighttpd.
const PAGES: &[&str] = &[
    "/server-status",
    "/server-info",
    "/nginx_status",
    "/stub_status",
    "/basic_status",
    "/status",
    "/fpm-status",
    "/server-statistics",
];
/// So much of a page is compared.
const LOOK: u64 = 8 * 1024;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The paths of such pages that `server` shows to a stranger who comes as strangers are passed on to it, under the name
/// `domain` or under `localhost`. A web server that answers every path with the same page shows none by that.
pub async fn private_pages(server: &WebServer, domain: &HostName) -> io::Result<Vec<String>> {
    let ends = Ends::of_nobody();
    let invented = format!("/{}", Secret::generate().reveal());
    let asking = async {
        let mut shown = Vec::new();
        for host in [domain.to_string().as_str(), "localhost"] {
            let nothing = page(server, ends, host, &invented).await?;
            for path in PAGES {
                let page = page(server, ends, host, path).await?;
                if page.is_some() && page != nothing && !shown.iter().any(|known| known == path) {
                    shown.push((*path).to_owned());
                }
            }
        }
        Ok(shown)
    };
    timeout(PATIENCE, asking).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// The beginning of a page's body; `None` where the answer is anything but 200.
async fn page(server: &WebServer, ends: Ends, host: &str, path: &str) -> io::Result<Option<Vec<u8>>> {
    let mut link = upstream::connect(server, Some(ends)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    link.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match link.take(LOOK).read_to_end(&mut answer).await {
        // What was said before it counts.
        Err(_) if !answer.is_empty() => {}
        other => drop(other?),
    }
    let status = answer.strip_prefix(b"HTTP/1.1 ").or(answer.strip_prefix(b"HTTP/1.0 "));
    if !status.is_some_and(|status| status.starts_with(b"200")) {
        return Ok(None);
    }
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    Ok(Some(answer.split_off(head)))
}
