#[coreloop::job(version = "2")]
fn text() {}

#[coreloop::job(version = 0)]
fn zero() {}

#[coreloop::job(version = 4_294_967_296)]
fn too_large() {}

#[coreloop::job(version)]
fn missing() {}

#[coreloop::job(version = 1, version = 2)]
fn twice() {}

#[coreloop::job(initializer, version = 2)]
fn open() {}

fn main() {}
