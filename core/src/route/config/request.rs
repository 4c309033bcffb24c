//! What is asked of a selector.

use crate::route::{Class, EndpointId, Keys, RoutingKey};

/// One request: its class, what it is placed by, and where it has been already.
///
/// # Examples
///
/// ```
/// use trilane::route::{Class, Request, RoutingKey};
///
/// let request = Request::new(Class::ANY).key(RoutingKey::new(b"user 7"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(in crate::route) class: Class,
    pub(in crate::route) key: Option<RoutingKey>,
    pub(in crate::route) tried: &'a [EndpointId],
}

impl Request<'_> {
    /// Any endpoint, by no key.
    pub const ANY: Self = Self::new(Class::ANY);

    /// One of the class's endpoints, by no key.
    pub const fn new(class: Class) -> Self {
        Self { class, key: None, tried: &[] }
    }

    /// By this key, for the strategies that place by keys.
    pub const fn key(self, key: RoutingKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// By the key that counts among these.
    pub const fn keys(self, keys: Keys) -> Self {
        Self { key: keys.key(), ..self }
    }

    /// None of `tried`, the endpoints that it has been sent to before. A longer list than
    /// [`Barred::MOST`](crate::route::Barred::MOST) is cut off there, the last ones kept.
    pub const fn excluding<'b>(self, tried: &'b [EndpointId]) -> Request<'b> {
        Request { class: self.class, key: self.key, tried }
    }
}

impl<'a> Request<'a> {
    /// Its class.
    pub const fn get_class(&self) -> Class {
        self.class
    }

    /// Its [`key`](Self::key), if it has one.
    pub const fn get_key(&self) -> Option<RoutingKey> {
        self.key
    }

    /// The endpoints that it [isn't to be sent to](Self::excluding).
    pub const fn excluded(&self) -> &'a [EndpointId] {
        self.tried
    }
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self::ANY
    }
}
