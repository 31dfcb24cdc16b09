//! What those leave who are killed.

use super::*;

#[test]
fn a_file_that_was_begun_to_be_written_goes_and_others_of_its_kind_stay() {
    on_a_host(|scene, fake| {
        let wanted = wanted(scene.host, scene.marks, best(scene), &[1]);
        bring(scene, &wanted).unwrap();
        let begun = "/etc/wireguard/.wg_main.conf.65ddf4098586749a";
        let others = [
            "/etc/wireguard/.wg_home.conf.65ddf4098586749a", // of a file that is not ours
            "/etc/wireguard/.wg_main.conf.65ddf4098586749",
            "/etc/wireguard/wg_main.conf.65ddf4098586749a",
        ];
        let full = "/etc/wireguard/.wg_main.conf.0000000000000000";
        for path in others.into_iter().chain([begun]) {
            fake.put_file(path, b"", 0o600, 0);
        }
        fake.put_file(full, b"somebody's", 0o600, 0);
        assert_eq!(bring(scene, &wanted).unwrap(), 1);
        let there = |path: &str| scene.host.files.info(Path::new(path)).unwrap().is_some();
        assert!(!there(begun) && there(full) && others.into_iter().all(there));
        assert_eq!(bring(scene, &wanted).unwrap(), 0);
        // With the file itself it goes as well.
        fake.put_file(begun, b"", 0o600, 0);
        bring(scene, &Wanted::nothing()).unwrap();
        assert!(!there(begun) && !there("/etc/wireguard/wg_main.conf") && there(full));
    });
}
