//! `issue`, `inspect` and `self-sign`: one request in JSON on standard input, one line of JSON on standard output.

use std::io::Read as _;
use std::process::ExitCode;

use phantom_certs::commands::{self, CommandReply};
use phantom_certs::{Challenger, now};
use phantom_types::{Lang, Text};
use phantom_words::of_program;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{failed, say, usage};
use crate::keep::ByServer;

/// Largest request.
const REQUEST_MAX: usize = 64 * 1024;

const ISSUE: Text = Text {
    en: "\
usage: phantom-ghost issue < REQUEST

Obtains a certificate by ACME, or says which stored one is still fresh. The request is one object in JSON:

  domain, directory, certs_dir        the name or address, the authority's URL, where certificates are kept
  ca_file                             certificates to trust when speaking to the authority
  control                             the control socket of a server that runs on the port
  listen, tls_alpn_port, http01_port  where to listen otherwise (all addresses, 443, 80)
  time_limit, renew                   in seconds (300); a new certificate in any case (false)

Prints cert_path, key_path, expires_at, reused and warnings; or an error, and exits with 1.
",
    tr: "\
kullanım: phantom-ghost issue < İSTEK

ACME ile sertifika alır veya saklananlardan hangisinin hâlâ yeni olduğunu söyler. İstek tek bir JSON nesnesidir:

  domain, directory, certs_dir        ad veya adres, otoritenin URL'si, sertifikaların saklandığı yer
  ca_file                             otoriteyle konuşurken güvenilecek sertifikalar
  control                             portu kullanan sunucunun denetim soketi
  listen, tls_alpn_port, http01_port  aksi halde dinlenecek yer (tüm adresler, 443, 80)
  time_limit, renew                   saniye olarak süre (300); her durumda yeni sertifika (false)

cert_path, key_path, expires_at, reused ve warnings yazdırır; olmazsa bir hata yazdırır ve 1 ile çıkar.
",
};

const INSPECT: Text = Text {
    en: "\
usage: phantom-ghost inspect < REQUEST

Checks a certificate and key. The request is one object in JSON: cert_path, key_path, domain; at_any_time (false) if it need not
be valid now.
Prints not_before, expires_at and fingerprint_sha256; or an error that names what is wrong, and exits with 1.
",
    tr: "\
kullanım: phantom-ghost inspect < İSTEK

Bir sertifikayı ve anahtarını denetler. İstek tek bir JSON nesnesidir: cert_path, key_path, domain; şu anda geçerli olması
gerekmiyorsa at_any_time (false).
not_before, expires_at ve fingerprint_sha256 yazdırır; olmazsa neyin yanlış olduğunu bildiren bir hata yazdırır ve 1 ile çıkar.
",
};

const SELF_SIGN: Text = Text {
    en: "\
usage: phantom-ghost self-sign < REQUEST

Makes a certificate that nobody vouches for, or says which stored one is still fresh. The request is one object in
JSON: domain, certs_dir. Prints cert_path, key_path, expires_at and reused; or an error, and exits with 1.
",
    tr: "\
kullanım: phantom-ghost self-sign < İSTEK

Kimsenin kefil olmadığı bir sertifika oluşturur veya saklananlardan hangisinin hâlâ yeni olduğunu söyler. İstek tek bir JSON
nesnesidir: domain, certs_dir. cert_path, key_path, expires_at ve reused yazdırır; olmazsa bir hata yazdırır ve 1 ile çıkar.
",
};

pub(super) fn issue(arguments: Vec<String>, lang: Lang) -> ExitCode {
    answer(arguments, ISSUE, lang, |request| {
        commands::issue(request, now, &|control| -> Box<dyn Challenger> { Box::new(ByServer::new(control)) })
    })
}

pub(super) fn inspect(arguments: Vec<String>, lang: Lang) -> ExitCode {
    answer(arguments, INSPECT, lang, |request| commands::inspect(request, now))
}

pub(super) fn self_sign(arguments: Vec<String>, lang: Lang) -> ExitCode {
    answer(arguments, SELF_SIGN, lang, |request| commands::self_sign(request, now))
}

/// Reads a request, and prints the reply in this language.
pub(crate) fn answer(
    arguments: Vec<String>,
    help: Text,
    lang: Lang,
    run: impl FnOnce(&[u8]) -> CommandReply,
) -> ExitCode {
    if let Some(argument) = arguments.into_iter().next() {
        return match argument.as_str() {
            "--help" | "-h" => say(help.get(lang)),
            _ => usage("this verb takes its request from standard input", lang),
        };
    }
    // Room for all of it at once: a buffer that grows leaves copies of what is secret in it.
    let mut request = Zeroizing::new(Vec::with_capacity(REQUEST_MAX));
    if let Err(error) = std::io::stdin().lock().take(REQUEST_MAX as u64).read_to_end(&mut request) {
        return failed(format_args!("standard input cannot be read: {error}"), lang);
    }
    let reply = run(&request);
    match say(&(in_language(reply.line, lang) + "\n")) {
        ExitCode::SUCCESS => ExitCode::from(reply.exit_code),
        failure => failure,
    }
}

/// A reply whose sentences are in this language: why it failed, what it warns of. A program that reads it asks for none.
fn in_language(line: String, lang: Lang) -> String {
    let read = serde_json::from_str(&line).ok().filter(|_| lang != Lang::En);
    let Some(mut reply): Option<Value> = read else { return line };
    tell(reply.pointer_mut("/error/detail"), lang);
    tell(reply.get_mut("alarm"), lang);
    let warnings = reply.get_mut("warnings").and_then(Value::as_array_mut);
    warnings.into_iter().flatten().for_each(|warning| tell(Some(warning), lang));
    reply.to_string()
}

/// Puts a text in the place of its English.
fn tell(place: Option<&mut Value>, lang: Lang) {
    if let Some(place) = place
        && let Some(text) = place.as_str()
    {
        *place = of_program(text, lang).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_differ_only_in_their_sentences() {
        let line = r#"{"error":{"kind":"request","detail":"the certificate authority gives: no answer within 30 seconds"}}"#;
        assert_eq!(in_language(line.to_owned(), Lang::En), line);
        let warned = r#"{"cert_path":"/c","warnings":["tls-alpn-01: it gives no reason"],"alarm":null,"reused":false}"#;
        assert_eq!(in_language(warned.to_owned(), Lang::En), warned);
        assert_eq!(
            in_language(warned.to_owned(), Lang::Tr),
            r#"{"cert_path":"/c","warnings":["tls-alpn-01: bir neden bildirmiyor"],"alarm":null,"reused":false}"#
        );
        let failed = r#"{"error":{"kind":"tls","detail":"it took too long"}}"#;
        assert_eq!(
            in_language(failed.to_owned(), Lang::Tr),
            r#"{"error":{"kind":"tls","detail":"çok uzun sürdü"}}"#
        );
    }
}
