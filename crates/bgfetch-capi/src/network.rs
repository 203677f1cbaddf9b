//! A network stack of the host.

use bgfetch_binding::bgfetch::FaultKind;
use bgfetch_binding::network::{self, ResponseStart};
use bgfetch_binding::{Handle, Result};

use crate::completion::bgfetch_header;
use crate::error::bgfetch_error;
use crate::ffi::{argument, array, bgfetch_handle, bgfetch_str, contained, out, sized};

/// What is known of a response besides its body. Initialize it with BGFETCH_RESPONSE_START_INIT.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct bgfetch_response_start {
    /// The size of this struct.
    size: usize,
    /// The status code of a final response.
    status: u32,
    /// Whether content codings of the body are undone.
    decoded: bool,
    /// Whether the connection can carry other requests at the same time (HTTP/2).
    multiplexed: bool,
    /// The reason phrase; may be empty.
    status_text: bgfetch_str,
    /// The address that the response came from, as in "192.0.2.1". Empty if it is not known: then it counts as this
    /// machine's, and a page of a public site needs the permission for that.
    address: bgfetch_str,
    /// The headers as received.
    headers: *const bgfetch_header,
    /// How many they are.
    header_count: usize,
}

/// Why there is no response, or no more of it.
#[repr(u32)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub enum bgfetch_fault {
    /// The name could not be resolved, or no route leads to its addresses.
    BGFETCH_FAULT_NO_ROUTE = 1,
    /// The connection was refused or could not be made.
    BGFETCH_FAULT_UNREACHABLE = 2,
    /// The connection was lost.
    BGFETCH_FAULT_INTERRUPTED = 3,
    /// The host's policy refuses the request. It is not tried again.
    BGFETCH_FAULT_BLOCKED = 4,
    /// TLS failed. It is not tried again.
    BGFETCH_FAULT_TLS = 5,
    /// The server violated HTTP. It is not tried again.
    BGFETCH_FAULT_PROTOCOL = 6,
    /// A proxy does not accept its user. It is not tried again.
    BGFETCH_FAULT_PROXY_AUTHENTICATION = 7,
}

const NO_ROUTE: u32 = bgfetch_fault::BGFETCH_FAULT_NO_ROUTE as u32;
const UNREACHABLE: u32 = bgfetch_fault::BGFETCH_FAULT_UNREACHABLE as u32;
const INTERRUPTED: u32 = bgfetch_fault::BGFETCH_FAULT_INTERRUPTED as u32;
const BLOCKED: u32 = bgfetch_fault::BGFETCH_FAULT_BLOCKED as u32;
const TLS: u32 = bgfetch_fault::BGFETCH_FAULT_TLS as u32;
const PROTOCOL: u32 = bgfetch_fault::BGFETCH_FAULT_PROTOCOL as u32;
const PROXY_AUTHENTICATION: u32 = bgfetch_fault::BGFETCH_FAULT_PROXY_AUTHENTICATION as u32;

fn fault(number: u32) -> Result<FaultKind> {
    Ok(match number {
        NO_ROUTE => FaultKind::NoRoute,
        UNREACHABLE => FaultKind::Unreachable,
        INTERRUPTED => FaultKind::Interrupted,
        BLOCKED => FaultKind::Blocked,
        TLS => FaultKind::Tls,
        PROTOCOL => FaultKind::Protocol,
        PROXY_AUTHENTICATION => FaultKind::ProxyAuthentication,
        _ => return Err(argument("there is no such fault")),
    })
}

/// A header's value as the binding has it: each byte is a character.
fn isomorphic(value: bgfetch_str) -> String {
    value.bytes().iter().map(|&byte| char::from(byte)).collect()
}

/// The head of a message's response has arrived.
///
/// # Safety
///
/// `start` points to a struct that was initialized with BGFETCH_RESPONSE_START_INIT, and what it points to is there
/// during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bgfetch_network_head(
    message: bgfetch_handle,
    start: *mut bgfetch_response_start,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        // SAFETY: the caller promises the same.
        let start = unsafe { sized(start) }?;
        // SAFETY: the caller promises that the headers are there.
        let headers = unsafe { array(start.headers, start.header_count) };
        let headers =
            headers.iter().map(|it| Ok((it.name.text()?.to_owned(), isomorphic(it.value))));
        let mut response = ResponseStart::default();
        response.status = u16::try_from(start.status).unwrap_or_default();
        response.status_text = isomorphic(start.status_text);
        response.headers = headers.collect::<Result<_>>()?;
        (response.decoded, response.multiplexed) = (start.decoded, start.multiplexed);
        response.address = match start.address.text()? {
            "" => None,
            address => Some(address.parse().map_err(|_| argument("the address is not one"))?),
        };
        network::head(Handle::from_raw(message), response)
    })
}

/// Bytes of a response's body: all of them are taken, or none if there is no credit for them. Up to 192 KiB always get
/// their credit in the end.
///
/// # Safety
///
/// `data` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bgfetch_network_bytes(
    message: bgfetch_handle,
    data: *const u8,
    length: usize,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        // SAFETY: the caller promises the same.
        let bytes = unsafe { array(data, length) };
        network::bytes(Handle::from_raw(message), bytes.to_vec())
    })
}

/// The body of a message: a stream that the host frees, or 0 if it has none.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_network_body(
    message: bgfetch_handle,
    stream: Option<&mut bgfetch_handle>,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        let stream = out(stream)?;
        *stream = network::body(Handle::from_raw(message))?.unwrap_or(Handle::NONE).raw();
        Ok(())
    })
}

/// For how many bytes of the response's body there is credit. There is none before the engine has judged the head.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_network_credit(
    message: bgfetch_handle,
    credit: Option<&mut usize>,
) -> Option<Box<bgfetch_error>> {
    contained(|| {
        *out(credit)? = network::credit(Handle::from_raw(message))?;
        Ok(())
    })
}

/// The response is complete. Frees the message.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_network_end(message: bgfetch_handle) -> Option<Box<bgfetch_error>> {
    contained(|| network::end(Handle::from_raw(message)))
}

/// There is no response, or no more of it. `why` is a bgfetch_fault, and `reason` a sentence for people. `sent` is whether
/// the server may have acted on the request; if that is not known, it is true. Frees the message.
#[unsafe(no_mangle)]
pub extern "C" fn bgfetch_network_fault(
    message: bgfetch_handle,
    why: u32,
    sent: bool,
    reason: bgfetch_str,
) -> Option<Box<bgfetch_error>> {
    contained(|| network::fault(Handle::from_raw(message), fault(why)?, sent, reason.text()?))
}
