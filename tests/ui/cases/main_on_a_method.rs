struct Server;

impl Server {
    #[coreloop::main]
    async fn run(&self) {}
}

fn main() {}
