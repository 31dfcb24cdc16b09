//! The keeper with real files, against a server that only writes down what it is told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use phantom_certs::{CertificatePair, now, self_sign};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::*;

const NAME: &str = "vpn.example.com";

struct Server {
    /// Configurations, and changes of the clients.
    told: Arc<Mutex<Vec<Value>>>,
    clients: Arc<Mutex<Vec<Value>>>,
    answer: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Server {
    fn start(path: &Path) -> Self {
        drop(fs::remove_file(path));
        let listener = UnixListener::bind(path).unwrap();
        let told: [Arc<Mutex<Vec<Value>>>; 2] = Default::default();
        let answer = Arc::new(Mutex::new(json!({"ok": true}).to_string()));
        let task = tokio::spawn(serve(listener, told.clone(), Arc::clone(&answer)));
        let [told, clients] = told;
        Self { told, clients, answer, task }
    }

    /// What the n-th request configured, as soon as it is there.
    async fn configuration(&self, n: usize) -> Value {
        until(|| self.told.lock().unwrap().get(n).cloned()).await["configure"].clone()
    }

    /// The n-th change of the clients, as soon as it is there.
    async fn change(&self, n: usize) -> Value {
        until(|| self.clients.lock().unwrap().get(n).cloned()).await["clients"].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: UnixListener, told: [Arc<Mutex<Vec<Value>>>; 2], answer: Arc<Mutex<String>>) {
    let mut visitors = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (told, answer) = (told.clone(), Arc::clone(&answer));
        visitors.spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let request: Value = serde_json::from_str(&line).unwrap();
                let [configurations, clients] = &told;
                let list = if request["clients"].is_null() { configurations } else { clients };
                // A server of before knows no such requests.
                let unknown = request["clients"] != Value::Null
                    || request["configure"]["decoy"]["upstream"]["source"] != Value::Null;
                let old = unknown && answer.lock().unwrap().contains("\"old\"");
                list.lock().unwrap().push(request);
                if old {
                    let refusal = b"{\"error\":\"not a request: column 10\"}\n";
                    lines.get_mut().get_mut().write_all(refusal).await.unwrap();
                    continue;
                }
                let line = answer.lock().unwrap().clone() + "\n";
                lines.get_mut().get_mut().write_all(line.as_bytes()).await.unwrap();
            }
        });
    }
}

async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come");
        sleep(Duration::from_millis(20)).await;
    }
}

struct Home {
    folder: tempfile::TempDir,
    ready: Arc<AtomicUsize>,
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap(), ready: Arc::default() };
        fs::create_dir(home.path("live")).unwrap();
        home.clients(&[]);
        home.certificate(NAME);
        home.config("a", "operator", NAME);
        home
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn certificate(&self, name: &str) -> CertificatePair {
        let pair = self_sign(&name.parse().unwrap(), now()).unwrap();
        fs::write(self.path("live/key.pem"), pair.key_pem.expose()).unwrap();
        fs::write(self.path("live/chain.pem"), &pair.chain_pem).unwrap();
        pair
    }

    fn config(&self, secret: &str, source: &str, domain: &str) {
        fs::write(self.path("draft"), self.text(secret, source, domain)).unwrap();
        fs::rename(self.path("draft"), self.path("ghost.conf")).unwrap();
    }

    /// The configuration's text.
    fn text(&self, secret: &str, source: &str, domain: &str) -> String {
        let text = json!({"domain": domain, "secrets": [secret.repeat(64)], "wireguard_port": 51820,
            "certificate": {"source": source, "cert_path": self.path("live/chain.pem"), "key_path": self.path("live/key.pem")},
            "decoy": {"dir": self.path("decoy")}, "clients": self.path("clients")});
        format!("# phantom-wg\n{text}\n")
    }

    /// The same with a decoy.
    fn decoy(&self, decoy: &Value) {
        let text = self.text("a", "operator", NAME);
        let before = json!({"dir": self.path("decoy")}).to_string();
        assert!(text.contains(&before), "{text}");
        fs::write(self.path("draft"), text.replace(&before, &decoy.to_string())).unwrap();
        fs::rename(self.path("draft"), self.path("ghost.conf")).unwrap();
    }

    /// Lists these clients, each with a secret that is made of its name.
    fn clients(&self, names: &[&str]) {
        let lines: String = names.iter().map(|name| client(name)).collect();
        fs::write(self.path("draft"), format!("# phantom-wg\n{lines}")).unwrap();
        fs::rename(self.path("draft"), self.path("clients")).unwrap();
    }

    fn keep(&self) -> impl Future<Output = ()> + use<> {
        let (config, control) = (self.path("ghost.conf"), self.path("control"));
        let options = KeeperOptions {
            config,
            control,
            status: self.path("status.json"),
            way: Way::Open,
            clock: now,
            lang: Lang::En,
        };
        let ready = Arc::clone(&self.ready);
        async move {
            run(&options, || _ = ready.fetch_add(1, Ordering::Relaxed)).await.unwrap();
        }
    }

    fn status(&self) -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(self.path("status.json")).ok()?).ok()
    }

    async fn status_with(&self, field: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(|| self.status().filter(|status| wanted(&status[field]))).await
    }
}

fn client(name: &str) -> String {
    format!("key-of-{name} {}\n", name.repeat(64))
}

/// What a server is told in place of this client's secret.
fn digest(name: &str) -> Value {
    json!(crate::secrets::Secret::new(name.repeat(64)).unwrap().digest())
}

/// Runs a test beside a keeper.
async fn beside(home: &Home, test: impl Future<Output = ()>) {
    tokio::select! {
        () = home.keep() => panic!("the keeper ended"),
        () = test => {}
    }
}

#[tokio::test]
async fn changes_reach_the_server() {
    let home = Home::new();
    let server = Server::start(&home.path("control"));
    let first = fs::read_to_string(home.path("live/chain.pem")).unwrap();
    beside(&home, async {
        let told = server.configuration(0).await;
        assert_eq!((&told["secrets"], &told["wireguard_port"]), (&json!(["a".repeat(64)]), &json!(51820)));
        assert_eq!((&told["certificate_pem"], &told["decoy"]), (&json!(first), &json!("builtin")));
        home.status_with("serving", |serving| serving == true).await;
        until(|| (home.ready.load(Ordering::Relaxed) == 1).then_some(())).await;
        assert_eq!(fs::metadata(home.path("status.json")).unwrap().permissions().mode() & 0o7777, 0o600);
        // Another secret.
        home.config("b", "operator", NAME);
        assert_eq!(server.configuration(1).await["secrets"], json!(["b".repeat(64)]));
        // Another certificate of the operator, its two files written one after the other.
        let second = home.certificate(NAME);
        let mut told = server.configuration(2).await;
        assert_eq!(told["certificate_pem"], json!(second.chain_pem));
        // A decoy.
        fs::create_dir(home.path("decoy")).unwrap();
        fs::write(home.path("decoy/index.html"), "hi").unwrap();
        for n in 3.. {
            told = server.configuration(n).await;
            if told["decoy"] == json!({"files": {"index.html": "aGk="}}) {
                break;
            }
        }
        assert_eq!(home.ready.load(Ordering::Relaxed), 1, "ready is said once");
    })
    .await;
}

#[tokio::test]
async fn clients_are_told_singly() {
    let home = Home::new();
    home.clients(&["a", "b"]);
    let server = Server::start(&home.path("control"));
    beside(&home, async {
        let first = server.change(0).await;
        assert_eq!((&first["part"], first["add"].as_array().unwrap().len()), (&json!("only"), 2));
        server.configuration(0).await;
        // One more at the end of the file, and one less in a new one.
        let mut file = fs::OpenOptions::new().append(true).open(home.path("clients")).unwrap();
        io::Write::write_all(&mut file, client("c").as_bytes()).unwrap();
        drop(file);
        assert_eq!(server.change(1).await, json!({"add": [digest("c")], "remove": []}));
        home.clients(&["b", "c"]);
        assert_eq!(server.change(2).await, json!({"add": [], "remove": [digest("a")]}));
        home.status_with("last_error", Value::is_null).await;
        // A list that is not there leaves the clients as they are.
        fs::remove_file(home.path("clients")).unwrap();
        let status = home.status_with("last_error", Value::is_string).await;
        assert!(status["last_error"].as_str().unwrap().contains("clients"), "{status}");
        assert_eq!((&status["serving"], server.clients.lock().unwrap().len()), (&json!(true), 3));
        home.clients(&["b", "c"]);
        home.status_with("last_error", Value::is_null).await;
        drop(server);
        home.status_with("serving", |serving| serving == false).await;
        let again = Server::start(&home.path("control"));
        assert_eq!(again.change(0).await["add"].as_array().unwrap().len(), 2);
        again.configuration(0).await;
        assert_eq!((again.told.lock().unwrap().len(), again.clients.lock().unwrap().len()), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn broken_certificate_does_not_delay_client_removal() {
    let home = Home::new();
    home.clients(&["a", "b"]);
    let server = Server::start(&home.path("control"));
    beside(&home, async {
        let first = server.configuration(0).await;
        fs::write(home.path("live/key.pem"), "cut sho").unwrap();
        home.status_with("last_error", Value::is_string).await;
        home.clients(&["b"]);
        assert_eq!(server.change(1).await, json!({"add": [], "remove": [digest("a")]}));
        // Another secret of the operator's, with the certificate that is in force.
        home.config("c", "operator", NAME);
        let told = server.configuration(1).await;
        assert_eq!(told["secrets"], json!(["c".repeat(64)]));
        assert_eq!(told["certificate_pem"], first["certificate_pem"]);
        let status = home.status_with("last_error", Value::is_string).await;
        assert_eq!(status["serving"], true, "{status}");
        // A good one again.
        let pair = home.certificate(NAME);
        assert_eq!(server.configuration(2).await["certificate_pem"], json!(pair.chain_pem));
    })
    .await;
}

/// Where keeper and server are restarted one after the other, the one is newer for a moment.
#[tokio::test]
async fn older_server_gets_clients_among_operator_secrets() {
    let home = Home::new();
    home.clients(&["b"]);
    let server = Server::start(&home.path("control"));
    *server.answer.lock().unwrap() = json!({"ok": true, "old": true}).to_string();
    beside(&home, async {
        let secrets = |names: &[&str]| json!(names.iter().map(|name| name.repeat(64)).collect::<Vec<_>>());
        assert_eq!(server.configuration(0).await["secrets"], secrets(&["a", "b"]));
        home.clients(&["b", "c"]);
        assert_eq!(server.configuration(1).await["secrets"], secrets(&["a", "b", "c"]));
        home.clients(&["c"]);
        assert_eq!(server.configuration(2).await["secrets"], secrets(&["a", "c"]));
        home.status_with("last_error", Value::is_null).await;
    })
    .await;
}

#[tokio::test]
async fn front_server_is_passed_with_source_address() {
    let home = Home::new();
    let server = Server::start(&home.path("control"));
    let upstream =
        json!({"upstream": {"address": "http://127.0.0.1:80", "source": "10.8.0.1", "proxy": "v2"}});
    home.decoy(&upstream);
    beside(&home, async {
        assert_eq!(server.configuration(0).await["decoy"], upstream);
        let other = json!({"upstream": {"address": "http://127.0.0.1:80", "source": "192.0.2.9"}});
        home.decoy(&other);
        assert_eq!(server.configuration(1).await["decoy"], other);
        // As a keeper of before was told.
        let plain = json!({"upstream": "http://127.0.0.1:80"});
        home.decoy(&plain);
        assert_eq!(server.configuration(2).await["decoy"], plain);
        // A server that was started by a program of before is told to show its own page: it would let strangers come from
        // loopback. Everything else is told.
        *server.answer.lock().unwrap() = json!({"ok": true, "old": true}).to_string();
        home.decoy(&upstream);
        assert_eq!(server.configuration(3).await["decoy"], upstream);
        let told = server.configuration(4).await;
        assert_eq!((&told["decoy"], &told["wireguard_port"]), (&json!("builtin"), &json!(51820)));
        home.status_with("last_error", Value::is_null).await;
    })
    .await;
}

#[tokio::test]
async fn a_restarted_server_is_told_again() {
    let home = Home::new();
    beside(&home, async {
        let status = home.status_with("last_error", Value::is_string).await;
        assert!(status["last_error"].as_str().unwrap().contains("control"), "nobody listens yet: {status}");
        assert_eq!(status["serving"], false);
        for _ in 0..2 {
            let server = Server::start(&home.path("control"));
            assert_eq!(server.configuration(0).await["wireguard_port"], 51820);
            home.status_with("serving", |serving| serving == true).await;
            drop(server);
            home.status_with("serving", |serving| serving == false).await;
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_files_leave_what_is_in_force() {
    let home = Home::new();
    let server = Server::start(&home.path("control"));
    beside(&home, async {
        server.configuration(0).await;
        let error = async |part: &str| {
            let status = home
                .status_with("last_error", |error| error.as_str().is_some_and(|e| e.contains(part)))
                .await;
            assert_eq!(status["serving"], true);
        };
        fs::write(home.path("live/chain.pem"), "nonsense").unwrap();
        error("not PEM").await;
        home.certificate("other.example.com");
        error("does not cover vpn.example.com").await;
        home.certificate(NAME);
        home.status_with("last_error", Value::is_null).await;
        fs::write(home.path("ghost.conf"), "# phantom-wg\n{}").unwrap();
        error("line 2").await;
        fs::remove_file(home.path("ghost.conf")).unwrap();
        error("cannot be read").await;
        home.config("a", "operator", NAME);
        home.status_with("last_error", Value::is_null).await;
        let told = server.told.lock().unwrap().clone();
        assert_eq!(told.len(), 2, "the second certificate is the only change that is usable");
        drop(told);
        // A server that refuses is asked again, and told about.
        *server.answer.lock().unwrap() = json!({"error": "no such port"}).to_string();
        home.config("c", "operator", NAME);
        let status = home.status_with("serving", |serving| serving == false).await;
        assert_eq!(status["last_error"], "the tunnel server refused: no such port");
    })
    .await;
}

#[tokio::test]
async fn link_to_the_newest_files_is_followed() {
    let home = Home::new();
    for folder in ["archive1", "archive2"] {
        let pair = home.certificate(NAME);
        fs::create_dir(home.path(folder)).unwrap();
        fs::write(home.path(folder).join("chain.pem"), &pair.chain_pem).unwrap();
        fs::write(home.path(folder).join("key.pem"), pair.key_pem.expose()).unwrap();
    }
    let point = |folder: &str| {
        for file in ["chain.pem", "key.pem"] {
            let target = home.path(folder).join(file);
            std::os::unix::fs::symlink(target, home.path("draft")).unwrap();
            fs::rename(home.path("draft"), home.path("live").join(file)).unwrap();
        }
    };
    let text = |folder: &str| json!(fs::read_to_string(home.path(folder).join("chain.pem")).unwrap());
    point("archive1");
    let server = Server::start(&home.path("control"));
    beside(&home, async {
        assert_eq!(server.configuration(0).await["certificate_pem"], text("archive1"));
        point("archive2");
        assert_eq!(server.configuration(1).await["certificate_pem"], text("archive2"));
        // The files behind the links change.
        let pair = self_sign(&NAME.parse().unwrap(), now()).unwrap();
        fs::write(home.path("archive2/key.pem"), pair.key_pem.expose()).unwrap();
        fs::write(home.path("archive2/chain.pem"), &pair.chain_pem).unwrap();
        assert_eq!(server.configuration(2).await["certificate_pem"], json!(pair.chain_pem));
    })
    .await;
}

#[tokio::test]
async fn change_during_server_restart_reaches_it() {
    let home = Home::new();
    beside(&home, async {
        home.status_with("last_error", Value::is_string).await;
        for secret in ["b", "c", "d", "e"] {
            // The change is not quiet yet when the connection is tried again and succeeds.
            home.config(secret, "operator", NAME);
            let server = Server::start(&home.path("control"));
            let wanted = json!([secret.repeat(64)]);
            let told =
                || server.told.lock().unwrap().iter().any(|told| told["configure"]["secrets"] == wanted);
            until(|| told().then_some(())).await;
            drop(server);
            home.status_with("serving", |serving| serving == false).await;
        }
    })
    .await;
}

#[tokio::test]
async fn attempts_outlive_a_killed_keeper() {
    let home = Home::new();
    fs::remove_file(home.path("live/chain.pem")).unwrap();
    // Nobody listens there.
    let acme = json!({"directory": "https://127.0.0.1:1/dir", "account_dir": home.path("certs")});
    let text = home.text("a", "acme", NAME).replace("\"clients\"", &format!("\"acme\":{acme},\"clients\""));
    fs::write(home.path("ghost.conf"), text).unwrap();
    let failed = |status: &Value| status["failed"]["times"] == 1;
    beside(&home, async {
        let status = until(|| home.status().filter(failed)).await;
        assert!(status["failed"]["why"].as_str().unwrap().contains("Connection refused"), "{status}");
        assert_eq!(home.ready.load(Ordering::Relaxed), 1, "a service manager does not wait for it");
    })
    .await;
    let before = home.status().unwrap();
    beside(&home, async {
        until(|| (home.ready.load(Ordering::Relaxed) == 2).then_some(())).await;
        sleep(Duration::from_secs(1)).await;
        let status = home.status().unwrap();
        assert_eq!(status["failed"], before["failed"]);
        assert!(status["last_error"].as_str().unwrap().contains("Connection refused"), "{status}");
    })
    .await;
    // It is about another name then.
    let text = fs::read_to_string(home.path("ghost.conf")).unwrap();
    fs::write(home.path("ghost.conf"), text.replace(NAME, "other.example.com")).unwrap();
    beside(&home, async {
        until(|| home.status().filter(|status| status["failed"]["domain"] == "other.example.com")).await;
    })
    .await;
}
