//! The export for people: three steps, in English and Turkish (`docs/contract.md`, "Export for Ghost Mode clients").
//!
//! The steps also tell the client's machine where the server is, before the tunnel is up: a stock client looks the server's
//! name up whenever its connection breaks, and with WireGuard up that goes through the broken tunnel.

use phantom_store::Language;
use phantom_types::Timestamp;
use zeroize::Zeroizing;

use crate::Export;

mod hosts;
mod words;

use words::{ENGLISH, TURKISH};

/// Columns of a rule.
const WIDTH: usize = 80;

impl Export {
    /// The text, with a final line feed: a secret. `printed` is the moment of printing, in UTC: what was printed before a change of
    /// the server's is told from what was printed after it.
    pub fn text(&self, language: Language, printed: Timestamp) -> Zeroizing<String> {
        let words = match language {
            Language::En => &ENGLISH,
            Language::Tr => &TURKISH,
        };
        let [program, rest] = self.access.command_parts();
        let config = self.config.render();
        let (thick, thin) = ("=".repeat(WIDTH), "-".repeat(WIDTH));
        let created = printed.date_and_time();
        let (name, domain) = (&self.name, &self.access.domain);
        let head = format!(
            "{thick}\n{}\n{thick}\n\n{}: {name}\n{}: {domain}\n{}: {created}\n",
            words.title, words.client, words.server, words.created
        );
        let first = Zeroizing::new(format!(
            "{}{}\n\n    {} \\\n        {}\n\n{}\n",
            hosts::pin(self, words),
            words.run,
            *program,
            *rest,
            words.one_line
        ));
        let second = Zeroizing::new(format!("{}\n\n{}\n", words.save, *config));
        let third = self.third(words);
        let mut text = Zeroizing::new(String::with_capacity(head.len() + first.len() + second.len() + 4096));
        text.push_str(&head);
        for (title, body) in [(words.first, &*first), (words.second, &*second), (words.third, &third)] {
            for part in ["\n", &thin, "\n", title, "\n", &thin, "\n\n", body] {
                text.push_str(part);
            }
        }
        for part in ["\n", &thick, "\n", words.note, "\n", &thick, "\n"] {
            text.push_str(part);
        }
        text
    }

    /// How WireGuard is connected, and how everything is taken back.
    fn third(&self, words: &words::Vocabulary) -> String {
        // WireGuard for Windows closes every other way with a `/0` among the allowed IPs, that of the tunnel's program too.
        let blocks = self.config.allowed_ips.iter().any(|network| network.prefix() == 0);
        let unblock = if blocks { format!("    {}\n", words.unblock) } else { String::new() };
        format!(
            "Linux/macOS:\n    sudo wg-quick up /path/to/phantom-ghost.conf\n\nWindows:\n    {}\n{unblock}\n\
             {}\n    sudo wg-quick down /path/to/phantom-ghost.conf\n{}",
            words.import,
            words.disconnect,
            hosts::unpin(self, words)
        )
    }
}
