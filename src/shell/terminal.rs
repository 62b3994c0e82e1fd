//! How wide the screen is.

/// Columns of the terminal that standard output is; `None` when it is none. `COLUMNS` says otherwise.
pub fn width() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    said.or_else(asked).filter(|width| *width > 0)
}

fn asked() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    #[allow(unsafe_code)]
    // SAFETY: the kernel writes a `winsize`, and `size` is one that outlives the call.
    let result = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (result == 0).then(|| size.ws_col.into())
}
