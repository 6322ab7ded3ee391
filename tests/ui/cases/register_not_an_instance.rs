fn largest<T: Ord>(items: Vec<T>) -> Option<T> {
    items.into_iter().max()
}

coreloop::pool::register!(largest);

fn main() {}
