//! Any octets, as what a client of the control socket sends, in pieces of any size: no panic, and a question that can be read can
//! be asked, and is read again.

#![no_main]

use dmevpn::control::frame::Decoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Some((size, octets)) = octets.split_first() else { return };
    let mut decoder = Decoder::default();
    for part in octets.chunks(usize::from(*size).max(1)) {
        decoder.push(part);
        if !read(&mut decoder) {
            return;
        }
    }
    decoder.end();
    read(&mut decoder);
    // And as what a client gets.
    let mut client = Decoder::default();
    client.push(octets);
    while let Ok(Some(_)) = client.piece() {}
});

/// Reads all requests there are; whether more may come.
fn read(decoder: &mut Decoder) -> bool {
    loop {
        match decoder.request() {
            Ok(None) => return true,
            Ok(Some((request, _))) => {
                // A line may name what no frame has room for.
                let Ok(frame) = request.encode() else { continue };
                let mut again = Decoder::default();
                again.push(&frame);
                let (read, _) = again.request().expect("it is a request").expect("it is whole");
                assert_eq!(read, request);
            }
            Err(error) => {
                assert!(!error.answer().is_empty() && !error.to_string().is_empty());
                if error.is_end() {
                    return false;
                }
            }
        }
    }
}
