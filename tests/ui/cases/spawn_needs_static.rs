fn main() {
    coreloop::block_on(async {
        let text = String::from("borrowed");
        let task = coreloop::spawn(async { println!("{text}") });
        task.await.unwrap();
    });
}
