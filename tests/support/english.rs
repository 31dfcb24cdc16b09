//! English where Turkish was asked for.

/// Words of which English sentences are made, and which no Turkish sentence has.
const WORDS: &str = "\
    about after again all already although and any anything are because been before behind between but \
    by cannot could did does each every everything failed for gave gives had has have if into is \
    its missing must neither nobody nor not nothing of only or other over own place reached same should \
    since somebody something still such than that the their them then there these they this those though \
    through to until was were what when where which while without";

/// The English words of a Turkish text. Words of others are in «…» and do not count, nor does what a person types: a
/// word with a sign in it, as in `new_subnet=<subnet>`, is none. `from` and `with` are words of ip-rule(8) and nft(8).
pub fn english(text: &str) -> Vec<String> {
    let mut said = String::new();
    let mut depth = 0_u32;
    for c in text.chars() {
        match c {
            '«' => depth += 1,
            '»' => depth = depth.saturating_sub(1),
            other if depth == 0 => said.push(other),
            _ => {}
        }
    }
    let signs: &[char] = &['.', ',', ':', ';', '(', ')', '?', '!', '"', '“', '”'];
    said.split_whitespace()
        .map(|word| word.trim_matches(signs))
        .filter(|word| WORDS.split(' ').any(|known| known == word.to_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_of_other_language_is_seen() {
        assert_eq!(
            english("Geçersiz VPN yapılandırması, satır 2: not a key: the base64 of 32 bytes").len(),
            3
        );
        assert!(
            english("interface wg_main var ve bu sisteme ait değil").is_empty(),
            "a bare noun is not seen"
        );
        let quoted = "sertifika otoritesi reddetti: «too many certificates for this name» (rateLimited)";
        assert!(english(quoted).is_empty());
        assert!(english("Çalıştırın: phantom-api core change_subnet new_subnet=<subnet>").is_empty());
        assert!(WORDS.split(' ').is_sorted());
    }
}
