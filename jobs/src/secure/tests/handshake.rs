use super::{
    HELLO, Key, MAX, Met, PROOF, Refusal, Role, Start, connected, key, met, open, seal, start,
};

fn other_key() -> Key {
    Key::new("another key of the tests").unwrap()
}

fn refused(end: Met, proof: &[u8; PROOF]) {
    assert_eq!(end.verify(proof, MAX).err(), Some(Refusal::Proof));
}

#[test]
fn two_ends_with_the_same_key_understand_each_other() {
    let ((mut client_out, mut client_in), (mut manager_out, mut manager_in)) = connected(MAX);
    let bytes = seal(&mut client_out, b"question");
    assert_eq!(open(&mut manager_in, &bytes).unwrap(), [b"question"]);
    let bytes = seal(&mut manager_out, b"answer");
    assert_eq!(open(&mut client_in, &bytes).unwrap(), [b"answer"]);
}

#[test]
fn a_wrong_key_is_refused_by_both_ends() {
    let (client, manager) = met(&other_key(), &key(), (b"", b""));
    let (of_client, of_manager) = (client.proof(), manager.proof());
    refused(manager, &of_client);
    refused(client, &of_manager);
}

#[test]
fn a_key_is_not_replaced_by_a_longer_one_with_zeros() {
    // HMAC pads a key with zeros, so these keys are equal to it. The second of them is what an
    // attacker would have to know anyway.
    let long = Key::new([b"a key of the tests".as_slice(), &[1]].concat()).unwrap();
    let (client, manager) = met(&long, &key(), (b"", b""));
    let of_client = client.proof();
    refused(manager, &of_client);
}

#[test]
fn an_end_does_not_accept_its_own_proof() {
    let (client, manager) = met(&key(), &key(), (b"", b""));
    let (of_client, of_manager) = (client.proof(), manager.proof());
    refused(client, &of_client);
    refused(manager, &of_manager);
}

#[test]
fn an_end_does_not_accept_its_own_hello() {
    for role in [Role::Client, Role::Manager] {
        let start = start(role, 1);
        let hello = *start.hello();
        let refusal = start.meet(&hello, &key(), b"").err();
        assert_eq!(refusal, Some(Refusal::SameRole));
    }
}

/// The peer sends the same nonce, and the proof that it has got from a second connection, in
/// which it has played the other role.
#[test]
fn a_reflected_handshake_is_refused() {
    let manager = start(Role::Manager, 5);
    let mut reflected = *manager.hello();
    reflected[10] = b'C';
    let manager = manager.meet(&reflected, &key(), b"").unwrap();
    let own = manager.proof();
    refused(manager, &own);
}

#[test]
fn a_replayed_handshake_is_refused() {
    let (client, _) = met(&key(), &key(), (b"", b""));
    let (hello, proof) = (*start(Role::Client, 1).hello(), client.proof());
    // The same bytes at a manager whose nonce is fresh.
    let manager = start(Role::Manager, 3).meet(&hello, &key(), b"").unwrap();
    refused(manager, &proof);
}

#[test]
fn a_relay_between_two_channels_is_refused() {
    let (client, manager) = met(
        &key(),
        &key(),
        (b"channel to the relay", b"channel of the relay"),
    );
    let (of_client, of_manager) = (client.proof(), manager.proof());
    refused(manager, &of_client);
    refused(client, &of_manager);
    let (client, manager) = met(&key(), &key(), (b"the same channel", b"the same channel"));
    let of_client = client.proof();
    assert!(manager.verify(&of_client, MAX).is_ok());
    // One end under TLS, and the other not.
    let (client, manager) = met(&key(), &key(), (b"", b"channel"));
    let of_client = client.proof();
    refused(manager, &of_client);
}

#[test]
fn another_protocol_and_another_version_are_refused() {
    let mut hello = *start(Role::Client, 1).hello();
    hello[9] = 2;
    let refusal = start(Role::Manager, 2).meet(&hello, &key(), b"").err();
    assert_eq!(refusal, Some(Refusal::Version(2)));
    let http = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n       ";
    let http = http.first_chunk::<HELLO>().unwrap();
    let refusal = start(Role::Manager, 2).meet(http, &key(), b"").err();
    assert_eq!(refusal, Some(Refusal::Stranger));
}

/// Runs a handshake, in which `change` may change what is sent: the hello and proof of the
/// client, and of the manager. Returns whether both ends accept.
fn run(change: impl Fn(usize, &mut [u8])) -> bool {
    let (client, manager) = (start(Role::Client, 1), start(Role::Manager, 2));
    let (mut of_client, mut of_manager) = (*client.hello(), *manager.hello());
    change(0, &mut of_client);
    change(1, &mut of_manager);
    let meet = |start: Start, hello: &[u8; HELLO]| start.meet(hello, &key(), b"");
    let (Ok(client), Ok(manager)) = (meet(client, &of_manager), meet(manager, &of_client)) else {
        return false;
    };
    let (mut of_client, mut of_manager) = (client.proof(), manager.proof());
    change(2, &mut of_client);
    change(3, &mut of_manager);
    let accepted = manager.verify(&of_client, MAX).is_ok();
    // A manager that has refused sends no proof; here it does.
    client.verify(&of_manager, MAX).is_ok() && accepted
}

#[test]
fn a_flipped_bit_at_any_position_of_the_handshake_is_refused() {
    assert!(run(|_, _| ()));
    for (message, length) in [(0, HELLO), (1, HELLO), (2, PROOF), (3, PROOF)] {
        for bit in 0..length * 8 {
            let accepted = run(|number, bytes| {
                if number == message {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            });
            assert!(!accepted, "bit {bit} of message {message} was flipped");
        }
    }
}

/// A manager sends its proof after it has accepted the client's, so it is no use to strangers,
/// and one that has both proofs cannot derive what a second connection uses.
#[test]
fn two_connections_and_two_directions_have_different_keys() {
    let frames = |nonce| {
        let (client, manager) = (
            Start::new(Role::Client, [nonce; 32]),
            start(Role::Manager, 2),
        );
        let (client_hello, manager_hello) = (*client.hello(), *manager.hello());
        let client = client.meet(&manager_hello, &key(), b"").unwrap();
        let manager = manager.meet(&client_hello, &key(), b"").unwrap();
        let (of_client, of_manager) = (client.proof(), manager.proof());
        let (mut manager, _) = manager.verify(&of_client, MAX).unwrap();
        let (mut client, _) = client.verify(&of_manager, MAX).unwrap();
        [seal(&mut client, b"body"), seal(&mut manager, b"body")]
    };
    let all = [frames(1), frames(9)].concat();
    for (index, frame) in all.iter().enumerate() {
        assert!(
            !all[..index].contains(frame),
            "frame {index} is equal to another"
        );
    }
}
