//! embedded-io-async: what drivers of devices read from and write to, by the adapter of its own people.

use embedded_io_adapters::futures_03::FromFutures;
use embedded_io_async::{Read, Write};
use trilane_std::net::unix::UnixStream;

use crate::runtime;

/// A driver that knows nothing of an operating system.
async fn exchange<T: Read + Write>(mut io: T, said: &[u8], heard: &mut [u8]) -> Result<(), T::Error> {
    io.write_all(said).await?;
    io.flush().await?;
    let mut read = 0;
    while read < heard.len() {
        read += io.read(&mut heard[read..]).await?;
    }
    Ok(())
}

#[test]
fn a_driver_for_embedded_streams_talks_over_ours() {
    let runtime = runtime(1);
    runtime.block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let task = runtime.spawn(move |_| async move {
            let mut heard = [0; 4];
            exchange(FromFutures::new(b), b"there", &mut heard).await.unwrap();
            heard
        });
        let mut heard = [0; 5];
        // By a reference, too: as two halves of a stream.
        exchange(FromFutures::new(&a), b"here", &mut heard).await.unwrap();
        assert_eq!(&heard, b"there");
        assert_eq!(&task.unwrap().await.unwrap(), b"here");
    });
}
