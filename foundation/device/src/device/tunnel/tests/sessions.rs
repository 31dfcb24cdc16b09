//! Sessions that follow each other, and what the network does to their packets.

use super::*;
use crate::session::REJECT_AFTER_TIME;

fn numbered(number: u16) -> Vec<u8> {
    let mut packet = packet(2, 1);
    packet[4..6].copy_from_slice(&number.to_be_bytes());
    packet
}

async fn connected() -> (End, End) {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(2, 1));
    run(&mut client, &mut server);
    (client, server)
}

/// Has this end begin another session, as after two minutes.
fn begin_another(end: &mut End, other: &End) {
    pause();
    let peer = end.peer(other);
    let mut state = peer.state();
    state.tunnel.as_mut().unwrap().clock = Clock::default();
    shake::initiate(&mut state, &end.table, &peer, Instant::now(), &mut end.outbox);
}

#[tokio::test]
async fn a_packet_that_comes_again_is_dropped_and_moves_nobody() {
    let (mut client, mut server) = connected().await;
    client.seal(&server, &numbered(1));
    let sent = client.sent();
    assert_eq!(server.receive(sent.clone(), client.address), [numbered(1)]);
    let before = server.peer(&client).status();
    assert!(server.receive(sent, "203.0.113.1:1".parse().unwrap()).is_empty());
    assert_eq!(server.peer(&client).status(), before);
}

#[tokio::test]
async fn packets_pass_while_another_session_begins_whoever_begins_it() {
    let (mut client, mut server) = connected().await;
    let mut number = 0;
    for client_begins in [true, false, true] {
        let old = server.table.indices.len();
        if client_begins {
            begin_another(&mut client, &server);
        } else {
            begin_another(&mut server, &client);
        }
        // Each message of the handshake takes its way beside packets that were sealed before and after it.
        let mut arrived = Vec::new();
        let mut sealed = Vec::new();
        for _ in 0..4 {
            for _ in 0..5 {
                client.seal(&server, &numbered(number));
                sealed.push(numbered(number));
                number += 1;
            }
            let (from_client, from_server) = (client.sent(), server.sent());
            arrived.extend(server.receive(from_client, client.address));
            client.receive(from_server, server.address);
        }
        assert_eq!(arrived, sealed, "none is lost, and they stay in order");
        assert!(server.table.indices.len() <= old + 1, "old sessions go");
    }
}

#[tokio::test]
async fn both_ends_may_begin_at_once() {
    let (mut client, mut server) = connected().await;
    begin_another(&mut client, &server);
    begin_another(&mut server, &client);
    run(&mut client, &mut server);
    client.seal(&server, &numbered(1));
    server.seal(&client, &packet(1, 2));
    assert_eq!(run(&mut client, &mut server), (vec![packet(1, 2)], vec![numbered(1)]));
}

#[tokio::test]
async fn packets_of_the_session_before_still_come() {
    let (mut client, mut server) = connected().await;
    client.seal(&server, &numbered(1));
    let late = client.sent();
    begin_another(&mut client, &server);
    run(&mut client, &mut server);
    client.seal(&server, &numbered(2));
    assert_eq!(run(&mut client, &mut server).1, [numbered(2)]);
    assert_eq!(server.receive(late, client.address), [numbered(1)]);
}

#[tokio::test]
async fn a_session_ends_after_three_minutes_at_both_ends() {
    let (mut client, mut server) = connected().await;
    client.seal(&server, &numbered(1));
    client.sent();
    pause();
    let later = Instant::now() + REJECT_AFTER_TIME;
    let at_client = client.peer(&server);
    assert!(tick(&client.table, &at_client, later, &mut client.outbox), "it asks");
    assert!(at_client.state().tunnel.as_ref().unwrap().sessions.are_gone());
    let peer = server.peer(&client);
    tick(&server.table, &peer, later, &mut server.outbox);
    let state = peer.state();
    let tunnel = state.tunnel.as_ref().unwrap();
    assert!(tunnel.sessions.are_gone() && tunnel.newest != [0; STAMP], "it remembers the newest handshake");
    drop(state);
    server.sent();
    run(&mut client, &mut server);
    client.seal(&server, &numbered(2));
    assert_eq!(run(&mut client, &mut server).1, [numbered(2)]);
}

#[tokio::test]
async fn who_began_a_session_begins_another_after_two_minutes_when_it_sends() {
    let (mut client, mut server) = connected().await;
    let later = Instant::now() + Duration::from_mins(2);
    let [at_server, at_client] = [server.peer(&client), client.peer(&server)];
    for (end, peer, begins) in [(&mut server, at_server, false), (&mut client, at_client, true)] {
        let Outgoing::Seal(..) = outgoing(&end.table, &peer, later, &mut end.outbox) else { panic!() };
        let initiations = end.sent().iter().filter(|message| message[0] == 1).count();
        assert_eq!(initiations, usize::from(begins));
        let Outgoing::Seal(..) = outgoing(&end.table, &peer, later, &mut end.outbox) else { panic!() };
        assert!(end.sent().is_empty(), "once in five seconds");
    }
}

#[tokio::test]
async fn an_answer_of_an_earlier_asking_is_none() {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(2, 1));
    let first = client.sent();
    server.receive(first, client.address);
    let answer = server.sent();
    begin_another(&mut client, &server);
    client.receive(answer, server.address);
    assert!(client.peer(&server).state().tunnel.as_ref().unwrap().sessions.are_gone());
    assert_eq!(run(&mut client, &mut server).1, [packet(2, 1)]);
}

#[tokio::test]
async fn a_peer_that_nobody_reaches_is_given_up() {
    let (mut client, server) = pair().await;
    let start = Instant::now();
    client.seal(&server, &packet(2, 1));
    let peer = client.peer(&server);
    let mut asked = client.sent().len();
    let goes_on = (1..200).take_while(|second| {
        let now = start + Duration::from_secs(*second);
        let goes_on = tick(&client.table, &peer, now, &mut client.outbox);
        asked += client.sent().len();
        goes_on
    });
    let given_up = goes_on.last().unwrap() + 1;
    assert!((90..=96).contains(&given_up), "{given_up}");
    assert!((16..=18).contains(&asked), "{asked}");
    assert!(peer.state().tunnel.is_none() && client.table.indices.len() == 0);
    assert_eq!(client.table.staged.bytes(), 0);
}

#[tokio::test]
async fn the_peer_gets_all_packets_of_several_that_were_one_in_order() {
    let (mut client, mut server) = connected().await;
    let content: Vec<_> = (0..5000u32).flat_map(u32::to_le_bytes).collect();
    // An IPv4 packet of TCP that the kernel wants cut at 1,000 bytes.
    let mut large = vec![0; 40];
    large[0] = 0x45;
    large[2..4].copy_from_slice(&20_040u16.to_be_bytes());
    (large[9], large[32], large[33]) = (6, 0x50, 0x10);
    large[12..20].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
    large.extend(&content);
    let mut header = vec![1, 1, 0, 0];
    header.extend([1000u16, 20, 16].iter().flat_map(|number| number.to_ne_bytes()));
    let read = [header, large].concat();
    let peer = client.peer(&server);
    let packets = Large::read(&read, true).unwrap();
    seal_for(&client.table, &peer, &packets, Instant::now(), &mut client.outbox);
    let sent = client.sent();
    assert_eq!(sent.len(), 20);
    assert!(sent.iter().all(|datagram| datagram.len() == 32 + 1040), "they can go as one piece");
    let arrived: Vec<u8> =
        server.receive(sent, client.address).iter().flat_map(|packet| packet[40..].to_vec()).collect();
    assert!(arrived == content);
}
