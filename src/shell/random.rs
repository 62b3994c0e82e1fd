//! Random octets of the kernel's.

use std::io;

/// `N` of them, at most 256. It waits until the kernel has gathered enough after its start: a moment since Linux 5.6.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    // SAFETY: the buffer is as long as the kernel is told. So few octets come whole or not at all.
    #[allow(unsafe_code)]
    let got = unsafe { libc::getrandom(octets.as_mut_ptr().cast(), N, 0) };
    if got == N as isize { Ok(octets) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same() {
        let drawn: [[u8; 32]; 3] = std::array::from_fn(|_| random().unwrap());
        assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2] && drawn[0] != [0; 32]);
    }
}
