use std::rc::Rc;

struct Image;

#[coreloop::job]
fn rotate(image: Image) -> u32 {
    let _ = image;
    0
}

#[coreloop::job]
async fn share(_image: Rc<u8>) {}

fn main() {}
