//! A certificate authority of our own: Debian's `pebble`, with `pebble-challtestsrv` as its name server, on loopback.
//! Its certificates chain to a root that it makes at its start.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAMS: [&str; 2] = ["/usr/bin/pebble", "/usr/bin/pebble-challtestsrv"];

/// Says that a test cannot run here, and why.
pub(crate) fn skip(test: &str, why: &str) {
    drop(std::io::stderr().write_all(format!("\nSKIPPED {test}: {why}\n").as_bytes()));
}

/// A port that nobody has at the moment.
pub(crate) fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running authority, ended when it is dropped.
pub(crate) struct Pebble {
    pub(crate) home: TempDir,
    /// Where it validates.
    pub(crate) tls_port: u16,
    pub(crate) http_port: u16,
    acme_port: u16,
    management_port: u16,
    dns_port: u16,
    programs: [PathBuf; 2],
    name_server: Child,
    authority: Option<Child>,
}

impl Pebble {
    /// Starts one whose certificates are valid for this long; nothing, and a line that says so, where it is not
    /// installed.
    pub(crate) fn start(test: &str, validity: Duration) -> Option<Self> {
        let programs = PROGRAMS.map(PathBuf::from);
        if let Some(absent) = programs.iter().find(|program| !program.exists()) {
            skip(test, &format!("{} is not installed (Debian: pebble)", absent.display()));
            return None;
        }
        Some(Self::start_by(programs, &json!({ "certificateValidityPeriod": validity.as_secs() })))
    }

    /// Starts the newest one, whose programs are in the folder that `PHANTOM_PEBBLE` names, and which has profiles and renewal
    /// information of its own; nothing, and a line that says so, where none is named.
    pub(crate) fn start_newest(test: &str) -> Option<Self> {
        let Some(folder) = std::env::var_os("PHANTOM_PEBBLE").map(PathBuf::from) else {
            skip(test, "no newer pebble is at hand (PHANTOM_PEBBLE names the folder of its programs)");
            return None;
        };
        let profiles = json!({ "profiles": {
            "classic": { "description": "ninety days", "validityPeriod": 7_776_000 },
            "shortlived": { "description": "six days", "validityPeriod": 518_400 },
        }});
        let programs = ["pebble", "pebble-challtestsrv"].map(|name| folder.join(name));
        Some(Self::start_by(programs, &profiles))
    }

    /// Starts these programs, with further members of the configuration.
    fn start_by(programs: [PathBuf; 2], more: &Value) -> Self {
        let home = tempfile::tempdir().unwrap();
        let [tls_port, http_port, acme_port, management_port, dns_port, control] = [(); 6].map(|()| port());
        write_own_certificate(home.path());
        let mut config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{acme_port}"),
            "managementListenAddress": format!("127.0.0.1:{management_port}"),
            "certificate": home.path().join("own.pem"), "privateKey": home.path().join("own.key"),
            "httpPort": http_port, "tlsPort": tls_port, "ocspResponderURL": "",
            "externalAccountBindingRequired": false, "domainBlocklist": ["unwanted.example"],
        }});
        let members = more.as_object().unwrap().clone();
        config["pebble"].as_object_mut().unwrap().extend(members);
        fs::write(home.path().join("pebble.json"), config.to_string()).unwrap();
        let name_server = Command::new(&programs[1])
            .args([
                "-dns01",
                &format!("127.0.0.1:{dns_port}"),
                "-management",
                &format!("127.0.0.1:{control}"),
            ])
            .args([
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
                "-defaultIPv4",
                "127.0.0.1",
                "-defaultIPv6",
                "",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut pebble = Self {
            home,
            tls_port,
            http_port,
            acme_port,
            management_port,
            dns_port,
            programs,
            name_server,
            authority: None,
        };
        pebble.run();
        pebble
    }

    /// Starts it, with nothing remembered of an earlier run.
    pub(crate) fn run(&mut self) {
        self.end();
        let log = fs::File::create(self.home.path().join("pebble.log")).unwrap();
        let authority = Command::new(&self.programs[0])
            .args(["-strict", "-config", self.home.path().join("pebble.json").to_str().unwrap()])
            .args(["-dnsserver", &format!("127.0.0.1:{}", self.dns_port)])
            .envs([("PEBBLE_WFE_NONCEREJECT", "20"), ("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_AUTHZREUSE", "0")])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.authority = Some(authority.unwrap());
        let root = self.get("/roots/0");
        fs::write(self.root(), root).unwrap();
    }

    /// Ends it; its ports refuse from then on.
    pub(crate) fn end(&mut self) {
        if let Some(mut authority) = self.authority.take() {
            drop(authority.kill());
            authority.wait().unwrap();
        }
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.acme_port)
    }

    /// What to trust when speaking to it.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.home.path().join("own-ca.pem")
    }

    /// What its certificates chain to.
    pub(crate) fn root(&self) -> PathBuf {
        self.home.path().join("root.pem")
    }

    /// `openssl verify` of a stored chain against its root, for a name or an address.
    pub(crate) fn verify(&self, chain: &Path, name: &str) {
        let named = if name.parse::<std::net::IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" };
        let output = Command::new("openssl")
            .args(["verify", named, name, "-CAfile"])
            .arg(self.root())
            .arg("-untrusted")
            .arg(chain)
            .arg(chain)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("pebble.log")).unwrap_or_default()
    }

    /// A page of its management interface, as soon as it answers.
    fn get(&self, path: &str) -> String {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            match self.try_get(path) {
                Ok(body) => return body,
                Err(error) => assert!(Instant::now() < end, "{error}: {}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn try_get(&self, path: &str) -> std::io::Result<String> {
        let text = self.exchange(self.management_port, &format!("GET {path} HTTP/1.0\r\n\r\n"))?;
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        body.filter(|body| body.contains("BEGIN CERTIFICATE")).ok_or_else(|| std::io::Error::other(text))
    }

    /// Sends a request to its ACME interface and reads until it closes.
    pub(crate) fn ask(&self, request: &str) -> std::io::Result<String> {
        self.exchange(self.acme_port, request)
    }

    fn exchange(&self, port: u16, request: &str) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.ca_file()).unwrap()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config =
            ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        let session = ClientConnection::new(Arc::new(config), "127.0.0.1".try_into().unwrap()).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        let mut stream = StreamOwned::new(session, stream);
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.end();
        drop(self.name_server.kill());
        drop(self.name_server.wait());
    }
}

/// The certificate of its interfaces, and the authority behind that.
fn write_own_certificate(home: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(home.join("own-ca.pem"), authority.pem()).unwrap();
    fs::write(home.join("own.pem"), own.pem()).unwrap();
    fs::write(home.join("own.key"), key.serialize_pem()).unwrap();
}
