use super::{Broken, HEADER, HELLO, Key, Met, Opener, PROOF, Refusal, Role, Sealer, Start};

mod frames;
mod handshake;
mod keys;

const MAX: usize = 1 << 20;

fn key() -> Key {
    Key::new("a key of the tests").unwrap()
}

fn start(role: Role, nonce: u8) -> Start {
    Start::new(role, [nonce; 32])
}

/// The two ends after both hellos.
fn met(client_key: &Key, manager_key: &Key, bindings: (&[u8], &[u8])) -> (Met, Met) {
    let (client, manager) = (start(Role::Client, 1), start(Role::Manager, 2));
    let (client_hello, manager_hello) = (*client.hello(), *manager.hello());
    let client = client.meet(&manager_hello, client_key, bindings.0).unwrap();
    let manager = manager.meet(&client_hello, manager_key, bindings.1);
    (client, manager.unwrap())
}

/// The two ends after the handshake, the client first.
fn connected(max: usize) -> ((Sealer, Opener), (Sealer, Opener)) {
    let (client, manager) = met(&key(), &key(), (b"", b""));
    let (of_client, of_manager) = (client.proof(), manager.proof());
    let manager = manager.verify(&of_client, max).unwrap();
    (client.verify(&of_manager, max).unwrap(), manager)
}

fn seal(sealer: &mut Sealer, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    sealer.seal(&mut bytes, |out| out.extend_from_slice(body));
    bytes
}

/// Gives all bytes to the reader and returns the bodies of the frames.
fn open(opener: &mut Opener, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, Broken> {
    let mut bodies = Vec::new();
    loop {
        while let Some(body) = opener.next()? {
            bodies.push(body.to_vec());
        }
        if bytes.is_empty() {
            return Ok(bodies);
        }
        let space = opener.space();
        let count = space.len().min(bytes.len());
        space[..count].copy_from_slice(&bytes[..count]);
        opener.filled(count);
        bytes = &bytes[count..];
    }
}
