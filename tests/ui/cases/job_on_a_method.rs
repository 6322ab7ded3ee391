struct Server;

impl Server {
    #[coreloop::job]
    fn resize(&self, width: u32) -> u32 {
        width
    }
}

fn main() {}
