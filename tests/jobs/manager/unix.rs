//! Managers on Unix sockets.

use coreloop::jobs::{Client, Key, Manager};
use coreloop::net::UnixListener;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::meeting::soon;

use super::key;

#[coreloop::test]
async fn a_manager_serves_clients_of_a_unix_socket_and_removes_its_path() {
    let folder = Folder::new();
    let path = folder.path("manager");
    let manager = Manager::bind(path.as_path()).key(&key()).queue("tasks", 1);
    let manager = manager.start().await.unwrap();
    let client = soon(Client::connect(path.as_path(), &key())).await.unwrap();
    let tasks = client.queue::<String>("tasks");
    soon(tasks.put(&"hello".to_owned())).await.unwrap();
    assert_eq!(soon(tasks.get()).await.unwrap(), "hello");
    drop(manager);
    assert!(!path.exists());
}

#[coreloop::test]
async fn a_path_that_a_killed_manager_has_left_is_replaced_and_one_in_use_is_not() {
    let folder = Folder::new();
    let path = folder.path("manager");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let builder = || Manager::bind(path.as_path()).key(&key());
    let manager = builder().start().await.unwrap();
    let error = builder().start().await.unwrap_err().to_string();
    assert!(error.starts_with("cannot listen at unix:"), "{error}");
    assert!(path.exists());
    drop(manager);
}

/// A socket's path has at most 107 bytes on Linux.
#[coreloop::test]
async fn an_abandoned_path_may_be_as_long_as_the_system_allows() {
    let folder = Folder::new();
    let length = 103 - folder.path("").as_os_str().len();
    let path = folder.path(&"m".repeat(length));
    drop(UnixListener::bind(&path).unwrap());
    let builder = Manager::bind(path.as_path()).key(&key());
    let manager = builder.start().await.unwrap();
    drop(manager);
    assert_eq!(std::fs::read_dir(folder.path("")).unwrap().count(), 0);
}

/// The kernel refuses a connection to a file of any kind.
#[coreloop::test]
async fn a_file_that_is_no_socket_is_not_replaced() {
    let folder = Folder::new();
    let path = folder.path("notes");
    std::fs::write(&path, "important").unwrap();
    let link = folder.path("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for path in [path.as_path(), &link, &folder.path("")] {
        let error = Manager::bind(path).key(&key()).start().await.unwrap_err();
        assert!(error.to_string().contains("in use"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&link).unwrap(), "important");
}

#[coreloop::test]
async fn a_manager_that_ends_removes_only_its_own_socket() {
    let folder = Folder::new();
    let path = folder.path("manager");
    let manager = Manager::bind(path.as_path())
        .key(&key())
        .start()
        .await
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(manager);
    assert!(path.exists());
    drop(other);
}

#[coreloop::test]
async fn the_address_of_a_manager_is_free_at_once_when_it_is_dropped() {
    let folder = Folder::new();
    let manager = Manager::bind("127.0.0.1:0").key(&key()).start().await;
    let mut managers = vec![manager.unwrap()];
    let path = folder.path("manager");
    let manager = Manager::bind(path.as_path()).key(&key()).start().await;
    managers.push(manager.unwrap());
    for manager in managers {
        let address = manager.address().clone();
        drop(manager);
        Manager::bind(address).key(&key()).start().await.unwrap();
    }
}

#[coreloop::test]
async fn a_wrong_key_is_refused_on_a_unix_socket_too() {
    let folder = Folder::new();
    let path = folder.path("manager");
    let timeout = std::time::Duration::from_millis(50);
    let manager = Manager::bind(path.as_path())
        .key(&key())
        .handshake_timeout(timeout);
    let _manager = manager.start().await.unwrap();
    let other = Key::new("another key of the tests").unwrap();
    let client = Client::builder(path.as_path(), &other).connect_timeout(timeout);
    assert!(soon(client.connect()).await.unwrap_err().is_refused());
}
