//! What is refused.

use std::io::{self, ErrorKind};

use trilane_std::net::{Async, NoReactor, TcpListener, TcpStream, UdpSocket};
use trilane_std::runtime::{Runtime, block_on};

use crate::{local, runtime};

fn why(error: &io::Error) -> Option<NoReactor> {
    assert_eq!(error.kind(), ErrorKind::Other);
    error.get_ref()?.downcast_ref().copied()
}

#[test]
fn a_socket_outside_of_a_runtime_is_refused() {
    let error = TcpListener::bind(local()).unwrap_err();
    assert_eq!(why(&error), Some(NoReactor::OutsideRuntime));
    assert!(error.to_string().contains("make it in a task of a `Runtime`"), "{error}");
    assert_eq!(why(&UdpSocket::bind(local()).unwrap_err()), Some(NoReactor::OutsideRuntime));
    assert_eq!(why(&block_on(TcpStream::connect(local())).unwrap_err()), Some(NoReactor::OutsideRuntime));
}

#[test]
fn a_socket_in_a_simulation_is_refused() {
    let mut simulation = Runtime::builder().workers(1).simulate(7).unwrap();
    let error = simulation.block_on(async { UdpSocket::bind(local()).unwrap_err() }).unwrap();
    assert_eq!(why(&error), Some(NoReactor::Simulated));
}

#[test]
fn a_connection_that_is_refused_says_so() {
    let runtime = runtime(2, "refused");
    runtime.block_on(async {
        let address = std::net::TcpListener::bind(local()).unwrap().local_addr().unwrap();
        assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_port_in_use_says_so() {
    let runtime = runtime(1, "port");
    runtime.block_on(async {
        let address = TcpListener::bind(local()).unwrap().local_addr().unwrap();
        let listener = TcpListener::bind(address).unwrap();
        assert_eq!(TcpListener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listener);
        TcpListener::bind(address).unwrap();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_is_nothing_to_wait_for() {
    let runtime = runtime(1, "file");
    runtime.block_on(async {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(Async::new(file).unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
}
