//! How several workers poll one executor; on hosts only.

pub mod force;
pub mod work;
