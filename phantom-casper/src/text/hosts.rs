//! The lines for the client's hosts file: what adds them, and what takes them away.

use std::fmt::Write as _;

use super::words::Vocabulary;
use crate::Export;

/// What the lines end in, before the client's name, so that nothing else is removed: another client of the same server may be on the
/// same machine.
const MARK: &str = "# phantom-ghost";
/// The hosts file of Windows, for PowerShell.
const OF_WINDOWS: &str = "\"$env:SystemRoot\\System32\\drivers\\etc\\hosts\"";

/// The lines, without line ends.
fn lines(export: &Export) -> Vec<String> {
    let end = end(export);
    export.server_addresses.iter().map(|address| format!("{address}{end}")).collect()
}

/// What each of them ends in.
fn end(export: &Export) -> String {
    format!(" {} {MARK} {}", export.access.domain, export.name)
}

/// What takes this client's lines away, for Linux and macOS: GNU's sed and that of macOS both want a suffix for the copy in this form.
fn delete_unix(export: &Export) -> String {
    let end = end(export);
    format!("    sudo sed -i.phantom-ghost '/{end}$/d' /etc/hosts && sudo rm /etc/hosts.phantom-ghost\n")
}

/// The same for PowerShell, of any version: the file is read to its end before it is written. As with sed, letters of another case are others.
fn delete_windows(export: &Export) -> String {
    let end = end(export);
    format!("    $hosts = {OF_WINDOWS}\n    @(Get-Content $hosts) -cnotmatch '{end}$' | Set-Content $hosts\n")
}

/// What step 1 begins with; nothing where no name has to be looked up.
///
/// Lines of an earlier export go first: the server may have had other addresses. A line feed comes before the new ones: a file whose
/// last line does not end would take the new line as a part of that one.
pub(super) fn pin(export: &Export, words: &Vocabulary) -> String {
    let lines = lines(export);
    if lines.is_empty() {
        return String::new();
    }
    let mut unix = "printf '\\n".to_owned();
    let mut windows = String::new();
    for line in &lines {
        // Writing to a text cannot fail.
        let _ = write!(unix, "{line}\\n");
        let _ = write!(windows, "`r`n{line}");
    }
    format!(
        "{}\n\n{}\n{}    {unix}' | sudo tee -a /etc/hosts\n\n{}\n{}    Add-Content $hosts \"{windows}\"\n\n",
        words.pin,
        words.pin_unix,
        delete_unix(export),
        words.pin_windows,
        delete_windows(export)
    )
}

/// What takes the lines away again.
pub(super) fn unpin(export: &Export, words: &Vocabulary) -> String {
    if export.server_addresses.is_empty() {
        return String::new();
    }
    format!("{}\n{}\n{}", delete_unix(export), words.unpin_windows, delete_windows(export))
}
