//! A line of text that is being typed.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::screen::Key;

/// Longest line.
const LONGEST: usize = 4_096;

/// Text with a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    letters: Vec<char>,
    cursor: usize,
    /// It is a proposal: nothing has been typed yet.
    is_proposal: bool,
}

impl Input {
    pub(crate) fn new(text: &str) -> Self {
        let letters: Vec<char> = text.chars().collect();
        Self { cursor: letters.len(), is_proposal: !letters.is_empty(), letters }
    }

    /// Takes a text that was pasted, in place of a proposal.
    pub(crate) fn paste(&mut self, text: &str) {
        if self.is_proposal {
            self.clear();
        }
        for letter in text.chars() {
            self.key(Key::Char(letter));
        }
    }

    /// Takes a key for a path. A `/` begins a path of its own, in place of a proposal.
    pub(crate) fn path_key(&mut self, key: Key) -> bool {
        if self.is_proposal && key == Key::Char('/') {
            self.clear();
        }
        self.key(key)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn text(&self) -> String {
        self.letters.iter().collect()
    }

    /// Takes a key; whether it was one for a line of text.
    pub(crate) fn key(&mut self, key: Key) -> bool {
        match key {
            Key::Char(letter) if !letter.is_control() && self.letters.len() < LONGEST => {
                self.letters.insert(self.cursor, letter);
                self.cursor += 1;
            }
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.letters.remove(self.cursor);
            }
            Key::Delete if self.cursor < self.letters.len() => drop(self.letters.remove(self.cursor)),
            Key::Backspace | Key::Delete | Key::Char(_) => {}
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.letters.len()),
            Key::Home | Key::Control('a') => self.cursor = 0,
            Key::End | Key::Control('e') => self.cursor = self.letters.len(),
            Key::Control('u') => {
                self.letters.drain(..self.cursor);
                self.cursor = 0;
            }
            _ => return false,
        }
        self.is_proposal = false;
        true
    }

    /// What is seen of it in so many columns, and the column of the cursor in that.
    pub(crate) fn window(&self, width: usize) -> (String, u16) {
        let mut from = 0;
        let before = |from: usize| self.letters[from..self.cursor].iter().collect::<String>().width();
        while before(from) + 1 > width && from < self.cursor {
            from += 1;
        }
        let mut shown = String::new();
        for letter in &self.letters[from..] {
            if shown.width() + letter.width().unwrap_or_default() > width {
                break;
            }
            shown.push(*letter);
        }
        (shown, u16::try_from(before(from)).unwrap_or(u16::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_and_go_at_the_cursor() {
        let mut input = Input::new("iğde");
        for key in [Key::Left, Key::Left, Key::Backspace, Key::Char('İ'), Key::End, Key::Char('!')] {
            assert!(input.key(key));
        }
        assert_eq!(input.text(), "iİde!");
        assert!(!input.key(Key::Tab));
        assert_eq!(Input::new("abcdef").window(4), ("def".to_owned(), 3));
        assert_eq!(Input::new("abc").window(4), ("abc".to_owned(), 3));
    }

    #[test]
    fn paste_replaces_a_proposal_but_not_typing() {
        let after = |keys: &[Key], pasted: &str| {
            let mut input = Input::new("/root/a.conf");
            for key in keys {
                input.path_key(*key);
            }
            input.paste(pasted);
            input.text()
        };
        assert_eq!(after(&[], "/tmp/b.conf\n"), "/tmp/b.conf");
        assert_eq!(after(&[Key::Char('x')], "/y"), "/root/a.confx/y");
        assert_eq!(after(&[Key::Left], "/y"), "/root/a.con/yf");
        assert_eq!(after(&[Key::Char('/'), Key::Char('y')], ""), "/y");
    }
}
