#[coreloop::job]
fn word_count(limit: usize, text: &str) -> usize {
    text.split_whitespace().take(limit).count()
}

fn main() {}
