#[coreloop::job]
extern "C" fn decode(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

fn main() {}
