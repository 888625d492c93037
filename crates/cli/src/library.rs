//! Libraries that are asked by name, for the doctor's children: libkrb5 about its configuration,
//! the resolver about an address, the dynamic linker about why it does not load something. All
//! unsafe code of the tool is here.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::ptr;

/// The files that are mapped into this process, each once.
pub(crate) fn mapped() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut files: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| line.find('/').and_then(|at| line.get(at..)))
        .map(PathBuf::from)
        .collect();
    files.dedup();
    files
}

/// Load a library for good.
///
/// # Errors
/// Why the dynamic linker does not.
pub(crate) fn open(file: &Path) -> Result<(), String> {
    Library::open(&file.to_string_lossy()).map(drop)
}

/// The version of the Heimdal in this process, as it says it itself.
pub(crate) fn heimdal_version() -> Option<String> {
    let library = Library::open("libkrb5.so.26").ok()?;
    let variable = library.find(c"heimdal_version").ok()?;
    // SAFETY: Heimdal's krb5.h: `extern const char *heimdal_version`.
    let text = unsafe { variable.cast::<*const c_char>().read() };
    // SAFETY: a string constant of a library that stays loaded.
    unsafe { owned(text) }
}

/// The name that the resolver has for an address.
///
/// # Errors
/// Why it has none.
pub(crate) fn name_of(address: SocketAddr) -> Result<String, String> {
    let mut name: [c_char; NAME_MAX] = [0; NAME_MAX];
    let length = u32::try_from(name.len()).unwrap_or_default();
    let code = match address {
        SocketAddr::V4(v4) => {
            let octets = v4.ip().octets();
            let given = libc::sockaddr_in {
                sin_family: family(libc::AF_INET),
                sin_port: 0,
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(octets),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: address and buffer are locals, of the sizes that are given.
            unsafe {
                libc::getnameinfo(
                    (&raw const given).cast(),
                    size_of_address::<libc::sockaddr_in>(),
                    name.as_mut_ptr(),
                    length,
                    ptr::null_mut(),
                    0,
                    libc::NI_NAMEREQD,
                )
            }
        }
        SocketAddr::V6(v6) => {
            let given = libc::sockaddr_in6 {
                sin6_family: family(libc::AF_INET6),
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe {
                libc::getnameinfo(
                    (&raw const given).cast(),
                    size_of_address::<libc::sockaddr_in6>(),
                    name.as_mut_ptr(),
                    length,
                    ptr::null_mut(),
                    0,
                    libc::NI_NAMEREQD,
                )
            }
        }
    };
    if code != 0 {
        // SAFETY: any number is allowed; the string is a constant.
        let text = unsafe { libc::gai_strerror(code) };
        // SAFETY: as above.
        return Err(unsafe { owned(text) }.unwrap_or_default());
    }
    // SAFETY: the resolver wrote a NUL-terminated name into the buffer.
    unsafe { owned(name.as_ptr()) }.ok_or_else(|| "no name".to_owned())
}

fn family(number: c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).unwrap_or_default()
}

fn size_of_address<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or_default()
}

/// What MIT's libkrb5 makes of its configuration.
#[derive(Default)]
pub(crate) struct Kerberos {
    pub(crate) default_realm: Option<String>,
    /// The default ticket cache, `FILE:/tmp/krb5cc_0` for one.
    pub(crate) cache: Option<String>,
    /// The default keytab.
    pub(crate) keytab: Option<String>,
    /// The principal that a ticket for the service would be for.
    pub(crate) principal: Option<String>,
    /// The realm of that principal, or the default one.
    pub(crate) realm: Option<String>,
    /// The KDCs that the configuration names for that realm.
    pub(crate) kdcs: Vec<String>,
}

impl Kerberos {
    /// Ask for everything, about a service on a host where one is given.
    ///
    /// # Errors
    /// When there is no libkrb5, or it cannot read its configuration.
    pub(crate) fn ask(service: Option<(&str, &str)>) -> Result<Self, String> {
        let library = Library::open("libkrb5.so.3")?;
        let context = Krb5Context::new(&library)?;
        let mut facts = Self {
            default_realm: context.default_realm(),
            cache: context.cache(),
            keytab: context.keytab(),
            ..Self::default()
        };
        if let Some((service, host)) = service {
            facts.principal = context.principal(service, host);
        }
        let of_principal = facts.principal.as_deref().and_then(|principal| {
            let (_, realm) = principal.rsplit_once('@')?;
            (!realm.is_empty()).then(|| realm.to_owned())
        });
        facts.realm = of_principal.or_else(|| facts.default_realm.clone());
        // Where krb5.conf does not say which realm the host is in, MIT's library asks the KDC, and
        // takes the default one when that does not know.
        if let (Some(principal), Some(realm)) = (&mut facts.principal, &facts.realm) {
            if principal.ends_with('@') {
                *principal += realm;
            }
        }
        if let Some(realm) = &facts.realm {
            facts.kdcs = context.kdcs(realm);
        }
        Ok(facts)
    }
}

/// A krb5_context, and the functions that take it. Errors are no facts: what fails is left out.
struct Krb5Context<'a> {
    library: &'a Library,
    context: *mut c_void,
}

impl<'a> Krb5Context<'a> {
    fn new(library: &'a Library) -> Result<Self, String> {
        type Init = unsafe extern "C" fn(*mut *mut c_void) -> i32;
        let init = library.find(c"krb5_init_context")?;
        // SAFETY: the prototype of krb5.h.
        let init = unsafe { std::mem::transmute::<*mut c_void, Init>(init) };
        let mut context = ptr::null_mut();
        // SAFETY: the result is a local.
        let code = unsafe { init(&raw mut context) };
        if code != 0 {
            return Err(format!(
                "krb5.conf (or the file that KRB5_CONFIG names) cannot be used: error {code}"
            ));
        }
        Ok(Self { library, context })
    }

    fn default_realm(&self) -> Option<String> {
        type Get = unsafe extern "C" fn(*mut c_void, *mut *mut c_char) -> i32;
        type Free = unsafe extern "C" fn(*mut c_void, *mut c_char);
        let get = self.library.find(c"krb5_get_default_realm").ok()?;
        // SAFETY: the prototype of krb5.h.
        let get = unsafe { std::mem::transmute::<*mut c_void, Get>(get) };
        let free = self.library.find(c"krb5_free_default_realm").ok()?;
        // SAFETY: the prototype of krb5.h.
        let free = unsafe { std::mem::transmute::<*mut c_void, Free>(free) };
        let mut realm = ptr::null_mut();
        // SAFETY: the context is alive, the result a local.
        if unsafe { get(self.context, &raw mut realm) } != 0 {
            return None;
        }
        // SAFETY: a string of the library's, freed below.
        let text = unsafe { owned(realm) };
        // SAFETY: it came from the context.
        unsafe { free(self.context, realm) };
        text
    }

    fn cache(&self) -> Option<String> {
        type Get = unsafe extern "C" fn(*mut c_void) -> *const c_char;
        let get = self.library.find(c"krb5_cc_default_name").ok()?;
        // SAFETY: the prototype of krb5.h.
        let get = unsafe { std::mem::transmute::<*mut c_void, Get>(get) };
        // SAFETY: the context is alive.
        let name = unsafe { get(self.context) };
        // SAFETY: null, or the context's own string.
        unsafe { owned(name) }
    }

    fn keytab(&self) -> Option<String> {
        type Get = unsafe extern "C" fn(*mut c_void, *mut c_char, c_int) -> i32;
        let get = self.library.find(c"krb5_kt_default_name").ok()?;
        // SAFETY: the prototype of krb5.h.
        let get = unsafe { std::mem::transmute::<*mut c_void, Get>(get) };
        let mut name: [c_char; NAME_MAX] = [0; NAME_MAX];
        let length = c_int::try_from(name.len()).ok()?;
        // SAFETY: the context is alive, the buffer a local of that size.
        if unsafe { get(self.context, name.as_mut_ptr(), length) } != 0 {
            return None;
        }
        // SAFETY: the library wrote a NUL-terminated name.
        unsafe { owned(name.as_ptr()) }
    }

    fn principal(&self, service: &str, host: &str) -> Option<String> {
        type Make = unsafe extern "C" fn(
            *mut c_void,
            *const c_char,
            *const c_char,
            i32,
            *mut *mut c_void,
        ) -> i32;
        type Show = unsafe extern "C" fn(*mut c_void, *const c_void, *mut *mut c_char) -> i32;
        type Free = unsafe extern "C" fn(*mut c_void, *mut c_void);
        type FreeName = unsafe extern "C" fn(*mut c_void, *mut c_char);
        let make = self.library.find(c"krb5_sname_to_principal").ok()?;
        // SAFETY: the prototype of krb5.h.
        let make = unsafe { std::mem::transmute::<*mut c_void, Make>(make) };
        let show = self.library.find(c"krb5_unparse_name").ok()?;
        // SAFETY: the prototype of krb5.h.
        let show = unsafe { std::mem::transmute::<*mut c_void, Show>(show) };
        let free = self.library.find(c"krb5_free_principal").ok()?;
        // SAFETY: the prototype of krb5.h.
        let free = unsafe { std::mem::transmute::<*mut c_void, Free>(free) };
        let free_name = self.library.find(c"krb5_free_unparsed_name").ok()?;
        // SAFETY: the prototype of krb5.h.
        let free_name = unsafe { std::mem::transmute::<*mut c_void, FreeName>(free_name) };
        let (service, host) = (CString::new(service).ok()?, CString::new(host).ok()?);
        let (mut principal, mut name) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the context is alive, the strings live to the end, the result is a local.
        let code = unsafe {
            make(
                self.context,
                host.as_ptr(),
                service.as_ptr(),
                KRB5_NT_SRV_HST,
                &raw mut principal,
            )
        };
        if code != 0 {
            return None;
        }
        // SAFETY: the principal was just made, the result is a local.
        let code = unsafe { show(self.context, principal, &raw mut name) };
        // SAFETY: it came from this context.
        unsafe { free(self.context, principal) };
        if code != 0 {
            return None;
        }
        // SAFETY: a string of the library's, freed below.
        let text = unsafe { owned(name) };
        // SAFETY: it came from this context.
        unsafe { free_name(self.context, name) };
        text
    }

    fn kdcs(&self, realm: &str) -> Vec<String> {
        self.configured([c"realms", &CString::new(realm).unwrap_or_default(), c"kdc"])
            .unwrap_or_default()
    }

    /// The values of one relation of krb5.conf.
    fn configured(&self, path: [&CStr; 3]) -> Option<Vec<String>> {
        type Profile = unsafe extern "C" fn(*mut c_void, *mut *mut c_void) -> i32;
        type Values =
            unsafe extern "C" fn(*mut c_void, *const *const c_char, *mut *mut *mut c_char) -> i64;
        type FreeList = unsafe extern "C" fn(*mut *mut c_char);
        type Release = unsafe extern "C" fn(*mut c_void);
        let get = self.library.find(c"krb5_get_profile").ok()?;
        // SAFETY: the prototype of krb5.h.
        let get = unsafe { std::mem::transmute::<*mut c_void, Profile>(get) };
        let values = self.library.find(c"profile_get_values").ok()?;
        // SAFETY: the prototype of profile.h; `long` has 64 bits on 64-bit Linux, and only whether
        // it is 0 is looked at.
        let values = unsafe { std::mem::transmute::<*mut c_void, Values>(values) };
        let free_list = self.library.find(c"profile_free_list").ok()?;
        // SAFETY: the prototype of profile.h.
        let free_list = unsafe { std::mem::transmute::<*mut c_void, FreeList>(free_list) };
        let release = self.library.find(c"profile_release").ok()?;
        // SAFETY: the prototype of profile.h.
        let release = unsafe { std::mem::transmute::<*mut c_void, Release>(release) };
        let mut profile = ptr::null_mut();
        // SAFETY: the context is alive, the result a local.
        if unsafe { get(self.context, &raw mut profile) } != 0 {
            return None;
        }
        let names: Vec<*const c_char> = path
            .iter()
            .map(|name| name.as_ptr())
            .chain([ptr::null()])
            .collect();
        let mut list = ptr::null_mut();
        // SAFETY: the profile is alive, the names end with a null pointer, the result is a local.
        let code = unsafe { values(profile, names.as_ptr(), &raw mut list) };
        let mut found = Vec::new();
        if code == 0 && !list.is_null() {
            for index in 0..VALUES_MAX {
                // SAFETY: the list ends with a null pointer, where this loop ends.
                let place = unsafe { list.add(index) };
                // SAFETY: as above.
                let value = unsafe { place.read() };
                if value.is_null() {
                    break;
                }
                // SAFETY: a string of the list.
                found.extend(unsafe { owned(value) });
            }
            // SAFETY: the list came from the profile and is not used any more.
            unsafe { free_list(list) };
        }
        // SAFETY: the profile was taken above.
        unsafe { release(profile) };
        Some(found)
    }
}

impl Drop for Krb5Context<'_> {
    fn drop(&mut self) {
        type Free = unsafe extern "C" fn(*mut c_void);
        if let Ok(free) = self.library.find(c"krb5_free_context") {
            // SAFETY: the prototype of krb5.h.
            let free = unsafe { std::mem::transmute::<*mut c_void, Free>(free) };
            // SAFETY: the context was made by this library, and this is its end.
            unsafe { free(self.context) };
        }
    }
}

/// A library that is loaded and stays so.
struct Library(*mut c_void);

impl Library {
    fn open(name: &str) -> Result<Self, String> {
        let name = CString::new(name).map_err(|_| "a name with a NUL in it".to_owned())?;
        // SAFETY: a NUL-terminated string. What the library runs when it is loaded is its own.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if !library.is_null() {
            return Ok(Self(library));
        }
        // SAFETY: tells of the last error on this thread.
        let error = unsafe { libc::dlerror() };
        // SAFETY: null, or a string that stays until the next call.
        let text = unsafe { owned(error) };
        Err(text.unwrap_or_else(|| "it cannot be loaded".to_owned()))
    }

    fn find(&self, name: &CStr) -> Result<*mut c_void, String> {
        // SAFETY: the handle came from dlopen and is never closed.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        if found.is_null() {
            return Err(format!("{} is missing", name.to_string_lossy()));
        }
        Ok(found)
    }
}

/// A copy of a string of C's; `None` for the null pointer.
///
/// # Safety
/// `text` is null or a NUL-terminated string.
unsafe fn owned(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: by contract.
    let text = unsafe { CStr::from_ptr(text) };
    Some(text.to_string_lossy().into_owned())
}

/// krb5.h: the type of a name whose second component is a host.
const KRB5_NT_SRV_HST: i32 = 3;
/// NI_MAXHOST of netdb.h; a path has no more as a rule, and a longer one is an error of libkrb5's.
const NAME_MAX: usize = 1025;
/// KDCs of one realm.
const VALUES_MAX: usize = 64;
