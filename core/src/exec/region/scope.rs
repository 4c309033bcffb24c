//! What an executor gets with its table of regions.

use super::closing::serve;
use super::members::{admit, leave, unlink};
use crate::exec::memory::core::Scope;

/// See [`Scope`].
pub(in crate::exec) static SCOPE: Scope = Scope { admit, leave, unlink, serve };
