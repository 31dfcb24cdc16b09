//! A step that the host refuses again and again: what has nothing to do with it goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use phantom_host::{FileInfo, Files, HostError, Result};
use phantom_tests::Server;

/// Files of which one cannot be changed, as after `chattr +i`.
struct Immutable(Arc<dyn Files>, PathBuf);

impl Immutable {
    fn check(&self, path: &Path) -> Result<()> {
        let refused =
            || HostError::io(path.display().to_string(), std::io::ErrorKind::PermissionDenied.into());
        if path == self.1 { Err(refused()) } else { Ok(()) }
    }
}

impl Files for Immutable {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        self.0.read(path)
    }
    fn info(&self, path: &Path) -> Result<Option<FileInfo>> {
        self.0.info(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        self.0.list(dir)
    }
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        self.check(path)?;
        self.0.write(path, content, mode)
    }
    fn append(&self, path: &Path, content: &[u8]) -> Result<()> {
        self.check(path)?;
        self.0.append(path, content)
    }
    fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        self.check(path)?;
        self.0.set_mode(path, mode)
    }
    fn make_dir(&self, dir: &Path, mode: u32) -> Result<()> {
        self.0.make_dir(dir, mode)
    }
    fn remove(&self, path: &Path) -> Result<()> {
        self.check(path)?;
        self.0.remove(path)
    }
    fn remove_dir(&self, dir: &Path) -> Result<()> {
        self.0.remove_dir(dir)
    }
}

fn unfinished(server: &Server) -> String {
    let doctor = server.api(&["core", "doctor"]).ok();
    let all = doctor["checks"].as_array().unwrap();
    let found = all.iter().find(|one| one["name"] == "unfinished_change").unwrap();
    found["text"].as_str().unwrap().to_owned()
}

#[test]
fn impossible_step_spares_independent_ones() {
    let mut server = Server::ready().with(&["a", "b"]);
    let path = format!("/etc/sysctl.d/90-{}.conf", server.tags().tag());
    let spoilt = format!("{}\nnet.ipv4.ip_forward = 0\n", server.tags().first_line());
    server.fake.put_file(&path, spoilt.as_bytes(), 0o644, 0);
    let files = server.host.files.clone();
    server.host.files = Arc::new(Immutable(files.clone(), path.into()));
    let refused = server.api(&["core", "restart_service"]).json();
    assert_eq!((&refused["success"], &refused["data"]["rolled_back"]), (&false.into(), &false.into()));
    let first = unfinished(&server);
    assert!(first.contains("restart_service"), "{first}");

    let answer = server.api(&["core", "remove_client", "client_name=a"]);
    assert!(answer.err.contains("is still not finished"), "{}", answer.err);
    answer.ok();
    server.api(&["core", "add_client", "client_name=c"]).ok();
    let list = server.api(&["core", "list_clients"]).ok();
    assert_eq!(list["total"], 2, "{list:#}");
    assert_eq!(unfinished(&server), first, "what is unfinished stays so");
    server.lang = Some("tr".into());
    let answer = server.api(&["core", "stop_service"]);
    assert!(answer.err.contains("yarıda kalmıştı ve hâlâ tamamlanamadı"), "{}", answer.err);
    answer.ok();
    server.lang = None;
    assert!(server.host.network.link(&"wg_main".parse().unwrap()).unwrap().is_none());
    assert_eq!(unfinished(&server), first);
    // A change that needs the step fails, and everything is as it was.
    let refused = server.api(&["core", "start_service"]).json();
    assert_eq!(refused["success"], false, "{refused:#}");
    assert!(server.host.network.link(&"wg_main".parse().unwrap()).unwrap().is_none());

    server.host.files = files;
    server.api(&["core", "start_service"]).ok();
    server.assert_in_sync();
    assert!(unfinished(&server).contains("No change was cut short"));
}
