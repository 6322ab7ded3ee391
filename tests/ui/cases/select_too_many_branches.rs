#[coreloop::main]
async fn main() {
    coreloop::select! {
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
    }
}
