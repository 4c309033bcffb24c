//! Stands in for zlib-ng, which a peer's compression links and the benches never call: to build the real one
//! takes cmake and a C++ compiler. Every function fails as zlib's do.
#![allow(non_snake_case, non_camel_case_types, clippy::missing_safety_doc, clippy::too_many_arguments)]

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

pub type uInt = c_uint;
pub type uLong = c_ulong;
pub type Bytef = u8;
pub type voidpf = *mut c_void;
pub type z_size = usize;
pub type z_checksum = u32;
pub enum internal_state {}

/// zlib's stream, as its documentation lays it out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct z_stream {
    pub next_in: *mut Bytef,
    pub avail_in: uInt,
    pub total_in: z_size,
    pub next_out: *mut Bytef,
    pub avail_out: uInt,
    pub total_out: z_size,
    pub msg: *mut c_char,
    pub state: *mut internal_state,
    pub zalloc: extern "C" fn(voidpf, uInt, uInt) -> voidpf,
    pub zfree: extern "C" fn(voidpf, voidpf),
    pub opaque: voidpf,
    pub data_type: c_int,
    pub adler: z_checksum,
    pub reserved: uLong,
}

macro_rules! constants {
    ($($name:ident = $value:expr;)*) => { $(pub const $name: c_int = $value;)* };
}

constants! {
    Z_NO_FLUSH = 0; Z_PARTIAL_FLUSH = 1; Z_SYNC_FLUSH = 2; Z_FULL_FLUSH = 3; Z_FINISH = 4; Z_BLOCK = 5;
    Z_OK = 0; Z_STREAM_END = 1; Z_NEED_DICT = 2; Z_STREAM_ERROR = -2; Z_DATA_ERROR = -3; Z_MEM_ERROR = -4; Z_BUF_ERROR = -5;
    Z_DEFAULT_STRATEGY = 0; Z_DEFLATED = 8;
}

macro_rules! failing {
    ($($name:ident($($type:ty),*);)*) => {
        $(pub unsafe extern "C" fn $name(_: *mut z_stream $(, _: $type)*) -> c_int { Z_STREAM_ERROR })*
    };
}

failing! {
    deflate(c_int);
    deflateEnd();
    deflateReset();
    deflateParams(c_int, c_int);
    deflateSetDictionary(*const Bytef, uInt);
    deflateInit2_(c_int, c_int, c_int, c_int, c_int, *const c_char, c_int);
    inflate(c_int);
    inflateEnd();
    inflateReset2(c_int);
    inflateSetDictionary(*const Bytef, uInt);
    inflateInit2_(c_int, *const c_char, c_int);
}

pub unsafe extern "C" fn zlibVersion() -> *const c_char {
    c"none".as_ptr()
}
