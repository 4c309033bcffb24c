//! The example of an echo server.
#![cfg(unix)]

#[path = "../examples/echo.rs"]
#[allow(dead_code, reason = "`main` is the example's")]
mod echo;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use trilane_std::net::TcpListener;
use trilane_std::runtime::Runtime;

#[test]
fn what_is_sent_comes_back_until_the_server_is_stopped() {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let handle = runtime.handle();
    let listener = runtime.block_on(async { TcpListener::bind(([127, 0, 0, 1], 0)) }).unwrap();
    let address = listener.local_addr().unwrap();
    let server = runtime.spawn(move |cx| echo::serve(cx, handle, listener)).unwrap();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = String::new();
        stream.read_to_string(&mut back).unwrap();
        assert_eq!(back, "hello");
    }
    server.cancel().unwrap();
    runtime.block_on(server).unwrap();
    runtime.shut_down(Duration::from_secs(10)).unwrap();
}
