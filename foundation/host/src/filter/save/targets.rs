//! Targets: what a rule does.

use super::{masked, option};
use crate::filter::tree::{BitOp, Expr, Field, FilterAction, Statement, Writable};

/// Adds what a target does.
pub(super) fn add(steps: &mut Vec<Statement>, target: &str, options: &[String], goto: bool) {
    let action = match target {
        "ACCEPT" => FilterAction::Accept,
        // The second holds the connection open without answering any more.
        "DROP" | "TARPIT" => FilterAction::Drop,
        "REJECT" => FilterAction::Reject,
        "RETURN" => FilterAction::Return,
        "DNAT" | "REDIRECT" | "TPROXY" | "NETMAP" => FilterAction::Redirect,
        "SNAT" => FilterAction::Translate,
        "MASQUERADE" => FilterAction::Masquerade,
        "NFQUEUE" | "QUEUE" | "SYNPROXY" | "DELUDE" | "CLUSTERIP" => FilterAction::Unknown,
        // They end no rule's chain, and change nothing that is asked for here.
        "LOG" | "ULOG" | "NFLOG" | "TRACE" | "TCPMSS" | "TCPOPTSTRIP" | "TOS" | "DSCP" | "ECN" | "TTL"
        | "HL" | "CHECKSUM" | "AUDIT" | "SECMARK" | "CONNSECMARK" | "CLASSIFY" | "TEE" | "IDLETIMER"
        | "LED" | "RATEEST" => return,
        "SET" => {
            let changed =
                ["--add-set", "--del-set", "--map-set"].iter().filter_map(|name| option(options, name));
            return steps.extend(changed.map(|name| Statement::TouchIpSet(name.to_owned())));
        }
        "NOTRACK" => return steps.push(Statement::NoTrack),
        "CT" => {
            if options.iter().any(|option| option == "--notrack") {
                steps.push(Statement::NoTrack);
            }
            return;
        }
        "MARK" => return mark(steps, options),
        "CONNMARK" => return connection_mark(steps, options),
        "HMARK" => return steps.push(Statement::Set(Writable::Mark, Expr::Unknown)),
        chain if goto => FilterAction::Goto(chain.to_owned()),
        // A chain; a target that is not known leads nowhere, and the answer is then not known either.
        chain => FilterAction::Jump(chain.to_owned()),
    };
    steps.push(Statement::Do(action));
}

/// The value that a mark gets: the bits of `clear` are zeroed, those of `flip` are turned.
fn changed(of: Field, clear: u128, flip: u128) -> Expr {
    let kept = u128::from(u32::MAX) & !clear;
    let cleared = Expr::Bits(BitOp::And, Box::new((Expr::Field(of), Expr::Number(kept))));
    Expr::Bits(BitOp::Xor, Box::new((cleared, Expr::Number(flip))))
}

/// `--set-xmark VALUE/MASK` zeroes the bits of the mask and turns those of the value.
fn set(options: &[String], field: Field) -> Option<Expr> {
    if let Some((value, mask)) = option(options, "--set-xmark").and_then(masked) {
        return Some(changed(field, mask, value));
    }
    if let Some((value, mask)) = option(options, "--set-mark").and_then(masked) {
        // What is set is zeroed before.
        return Some(changed(field, mask | value, value));
    }
    let number = |name| option(options, name).and_then(crate::filter::names::number);
    if let Some(bits) = number("--and-mark") {
        return Some(changed(field, u128::from(u32::MAX) & !bits, 0));
    }
    if let Some(bits) = number("--or-mark") {
        return Some(changed(field, bits, bits));
    }
    number("--xor-mark").map(|bits| changed(field, 0, bits))
}

fn mark(steps: &mut Vec<Statement>, options: &[String]) {
    let value = set(options, Field::Mark).unwrap_or(Expr::Unknown);
    steps.push(Statement::Set(Writable::Mark, value));
}

fn connection_mark(steps: &mut Vec<Statement>, options: &[String]) {
    let has = |name: &str| options.iter().any(|option| option == name);
    let mask = |name| option(options, name).map_or(Some(u128::from(u32::MAX)), crate::filter::names::number);
    // The bits that `theirs` has in one mark take the place of those that `ours` has in the other one.
    let copied = |from: Field, to: Field, theirs: Option<u128>, ours: Option<u128>| {
        let (Some(theirs), Some(ours)) = (theirs, ours) else { return Expr::Unknown };
        let kept = u128::from(u32::MAX) & !ours;
        let kept = Expr::Bits(BitOp::And, Box::new((Expr::Field(to), Expr::Number(kept))));
        let taken = Expr::Bits(BitOp::And, Box::new((Expr::Field(from), Expr::Number(theirs))));
        Expr::Bits(BitOp::Xor, Box::new((kept, taken)))
    };
    let (packet, connection) = (mask("--nfmask"), mask("--ctmask"));
    let step = if has("--save-mark") {
        let value = copied(Field::Mark, Field::ConnectionMark, packet, connection);
        Statement::Set(Writable::ConnectionMark, value)
    } else if has("--restore-mark") {
        let value = copied(Field::ConnectionMark, Field::Mark, connection, packet);
        Statement::Set(Writable::Mark, value)
    } else {
        Statement::Set(Writable::ConnectionMark, set(options, Field::ConnectionMark).unwrap_or(Expr::Unknown))
    };
    steps.push(step);
}
