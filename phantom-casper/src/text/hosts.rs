//! The lines for the client's hosts file: what adds them, and what takes them away.

use std::fmt::Write as _;

use super::words::Words;
use crate::Export;

/// What the lines end in, so that nothing else is removed.
const MARK: &str = "# phantom-ghost";
/// The hosts file of Windows, for PowerShell.
const OF_WINDOWS: &str = "\"$env:SystemRoot\\System32\\drivers\\etc\\hosts\"";

/// The lines, without line ends.
fn lines(export: &Export) -> Vec<String> {
    let name = &export.access.domain;
    export.server_addresses.iter().map(|address| format!("{address} {name} {MARK}")).collect()
}

/// What step 1 begins with; nothing where no name has to be looked up.
///
/// A line feed comes first: a file whose last line does not end would take the new line as a part of that one.
pub(super) fn pin(export: &Export, words: &Words) -> String {
    let lines = lines(export);
    if lines.is_empty() {
        return String::new();
    }
    let mut unix = "printf '\\n".to_owned();
    let mut windows = String::new();
    for line in &lines {
        // Writing to a text cannot fail.
        let _ = write!(unix, "{line}\\n");
        let _ = write!(windows, "`n{line}");
    }
    format!(
        "{}\n\n{}\n    {unix}' | sudo tee -a /etc/hosts\n\n{}\n    Add-Content {OF_WINDOWS} \"{windows}\"\n\n",
        words.pin, words.pin_unix, words.pin_windows
    )
}

/// What takes the lines away again. GNU's sed and that of macOS both want a suffix for the copy in this form.
pub(super) fn unpin(export: &Export, words: &Words) -> String {
    if export.server_addresses.is_empty() {
        return String::new();
    }
    let end = format!(" {} {MARK}$", export.access.domain);
    format!(
        "    sudo sed -i.phantom-ghost '/{end}/d' /etc/hosts && sudo rm /etc/hosts.phantom-ghost\n\n{}\n    \
         $hosts = {OF_WINDOWS}\n    @(Get-Content $hosts) -notmatch '{end}' | Set-Content $hosts\n",
        words.unpin_windows
    )
}
