//! The question before a change that clients notice: whose connection it cuts, and what has to be handed out again.

use phantom_api::Lang;

use super::confirm;
use crate::connected::Connected;
use crate::screen::{AppContext, ScreenAction};
use crate::text;
use crate::work::{Problem, Work, WorkResult};

/// What a change does to the connections of those who are connected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// None.
    Nobody,
    /// None, as long as the old address of the server leads to it.
    WhileItLeadsHere,
    /// It may be that they are interrupted for a moment.
    Perhaps,
    /// All are interrupted for seconds, and come back by themselves.
    Briefly,
    /// They may be interrupted, and at the next time need their new configuration.
    AtNextConnect,
    /// All end, until the service is started again.
    UntilStarted,
    /// All end, until a client has its new configuration.
    UntilHandedOut,
    /// Those in the tunnel end, until a client uses its ordinary configuration.
    UntilOrdinary,
    /// They stay connected to the server, and what they have open to the internet breaks.
    OpenConnections,
}

/// What has to be handed out again after a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HandOut {
    /// Nothing.
    Nothing,
    /// What the lines of the question name already.
    Listed,
    /// The configuration of every client.
    Configurations,
    /// Nothing new: the configurations from before Ghost Mode are valid again.
    Ordinary,
}

/// Looks who is connected, and asks.
pub(super) fn ask(
    title: impl Into<String>,
    lines: Vec<String>,
    (cut, hand_out): (Cut, HandOut),
    yes: impl FnOnce(&AppContext) -> Vec<ScreenAction> + 'static,
) -> Vec<ScreenAction> {
    let title = title.into();
    let what = title.clone();
    let then = move |reply: Result<WorkResult, Problem>, world: &AppContext| {
        let mut lines = lines;
        lines.extend(sentences(&reply, cut, hand_out, world.lang));
        confirm(title, lines, yes)
    };
    vec![ScreenAction::Run(Work::Connected, what, Box::new(then))]
}

fn sentences(reply: &Result<WorkResult, Problem>, cut: Cut, hand_out: HandOut, lang: Lang) -> Vec<String> {
    let (who, total) = match reply {
        Ok(WorkResult::Connected(connected)) => (who(connected, lang), connected.total),
        Ok(_) => return Vec::new(),
        // The question comes all the same: a change may be what mends it.
        Err(problem) => (not_known(&problem.message, lang), u32::MAX),
    };
    [consequences(cut, lang), vec![who], needed(hand_out, total, lang)].concat()
}

fn not_known(why: &str, lang: Lang) -> String {
    format!(
        "{}: {why}",
        lang.pick(
            "It is not known which clients are connected",
            "Hangi istemcilerin bağlı olduğu bilinmiyor"
        )
    )
}

/// `Connected now: 3 of 12 (anna, ben, phone)`, or `Connected now: nobody`.
fn who(connected: &Connected, lang: Lang) -> String {
    let Connected { count, names, total, unknown } = connected;
    if let Some(parts) = unknown {
        return not_known(parts, lang);
    }
    if *count == 0 {
        return lang.pick("Connected now: nobody", "Şu anda bağlı istemci yok").to_owned();
    }
    let mut names = names.join(", ");
    let more = usize::try_from(*count).unwrap_or(usize::MAX).saturating_sub(connected.names.len());
    if more > 0 {
        names = match lang {
            Lang::En => format!("{names} and {more} more"),
            Lang::Tr => format!("{names} ve {more} istemci daha"),
        };
    }
    match lang {
        Lang::En => format!("Connected now: {count} of {total} ({names})"),
        Lang::Tr => format!("Şu anda bağlı: {total} istemciden {count} tanesi ({names})"),
    }
}

fn consequences(cut: Cut, lang: Lang) -> Vec<String> {
    let interrupts = text::INTERRUPTS.get(lang);
    let sentences = match cut {
        Cut::Nobody => vec![lang.pick("This disconnects nobody", "Bu, kimsenin bağlantısını kesmez")],
        Cut::WhileItLeadsHere => vec![lang.pick(
            "This disconnects nobody: clients use the old address until they have their new configuration, as long as it \
             leads to this server",
            "Bu, kimsenin bağlantısını kesmez: eski adres bu sunucuya ulaştığı sürece istemciler yeni yapılandırmalarını \
             alana kadar onu kullanır",
        )],
        Cut::Perhaps => vec![text::INTERRUPTS_MAYBE.get(lang)],
        Cut::AtNextConnect => vec![
            text::INTERRUPTS_MAYBE.get(lang),
            lang.pick(
                "The next time a client connects, it needs its new configuration",
                "Bir istemci bir sonraki bağlanışında yeni yapılandırmasına ihtiyaç duyar",
            ),
        ],
        Cut::Briefly => vec![
            interrupts,
            lang.pick(
                "They come back by themselves within seconds",
                "Birkaç saniye içinde kendiliğinden yeniden bağlanırlar",
            ),
        ],
        Cut::UntilStarted => vec![
            interrupts,
            lang.pick(
                "Nobody can connect until the service is started again",
                "Servis yeniden başlatılana kadar kimse bağlanamaz",
            ),
        ],
        Cut::UntilHandedOut => vec![
            interrupts,
            lang.pick(
                "A client can connect again when it has its new configuration",
                "Bir istemci yeni yapılandırmasını aldığında yeniden bağlanabilir",
            ),
        ],
        Cut::UntilOrdinary => vec![interrupts],
        Cut::OpenConnections => vec![lang.pick(
            "Clients stay connected to this server, but what they have open (calls, downloads) breaks: their traffic \
             goes another way from then on",
            "İstemciler bu sunucuya bağlı kalır, ancak açık bağlantıları (aramalar, indirmeler) kopar: trafikleri bundan \
             sonra başka bir yoldan gider",
        )],
    };
    sentences.into_iter().map(str::to_owned).collect()
}

fn needed(hand_out: HandOut, total: u32, lang: Lang) -> Vec<String> {
    let sentence = match hand_out {
        HandOut::Listed => return Vec::new(),
        _ if total == 0 => lang.pick("There are no clients yet", "Henüz istemci yok"),
        HandOut::Nothing => lang.pick(
            "No configuration has to be handed out again",
            "Hiçbir yapılandırmanın yeniden dağıtılması gerekmez",
        ),
        HandOut::Configurations => text::FETCH_AGAIN.get(lang),
        HandOut::Ordinary => lang.pick(
            "Clients use their ordinary configuration again",
            "İstemciler yeniden olağan yapılandırmalarını kullanır",
        ),
    };
    let whose = lang.pick("all", "tümü");
    let all = (hand_out == HandOut::Configurations && (2..u32::MAX).contains(&total))
        .then(|| format!(" ({whose}: {total})"));
    vec![format!("{sentence}{}", all.unwrap_or_default())]
}
