//! The channel that an exchange is bound to.

/// gss_channel_bindings_struct of RFC 2744 section 3.11.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "RFC 2744 section 3.11 defines each")]
pub struct ChannelBindings<'a> {
    pub initiator_address_type: u32,
    pub initiator_address: &'a [u8],
    pub acceptor_address_type: u32,
    pub acceptor_address: &'a [u8],
    pub application_data: &'a [u8],
}
