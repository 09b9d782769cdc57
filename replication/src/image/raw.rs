//! Metadata that is kept as the records that say it: quotas, access control, credentials, tokens.
//!
//! The image only finds and replaces them; what they mean is decided where they are used.

use ottla_protocol::{
    Message, Str,
    ids::Uuid,
    messages::{
        AccessControlEntryRecord, ClientQuotaRecord, DelegationTokenRecord, MetadataRecord,
        RemoveUserScramCredentialRecord, UserScramCredentialRecord,
    },
};
use rpds::RedBlackTreeMapSync;
use std::sync::Arc;

type Map<K, V> = RedBlackTreeMapSync<K, V>;

/// A copy of `record` that does not hold on to the frame it was read from.
pub(super) fn owned<M: Message>(record: &M) -> M {
    let version = M::VERSIONS.last;
    let copy = record
        .to_bytes(version)
        .ok()
        .and_then(|bytes| M::from_bytes(bytes, version).ok());
    copy.unwrap_or_else(|| record.clone())
}

/// The entity that a quota is for: pairs of type (`user`, `client-id`, `ip`) and name, where no name is the default.
type QuotaEntity = Vec<(Str, Option<Str>)>;

/// Client quotas (KIP-546) by entity and key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientQuotasImage {
    by_entity: Map<(QuotaEntity, Str), Arc<ClientQuotaRecord>>,
}

impl ClientQuotasImage {
    /// Every quota, ascending by entity.
    pub fn iter(&self) -> impl Iterator<Item = &ClientQuotaRecord> {
        self.by_entity.values().map(|record| &**record)
    }

    pub(super) fn apply(&mut self, record: &ClientQuotaRecord) {
        let part = |part: &ottla_protocol::messages::client_quota_record::EntityData| {
            (
                part.entity_type.detached(),
                part.entity_name.as_ref().map(Str::detached),
            )
        };
        let key = (record.entity.iter().map(part).collect(), record.key.detached());
        if record.remove {
            self.by_entity.remove_mut(&key);
        } else {
            self.by_entity.insert_mut(key, Arc::new(owned(record)));
        }
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.iter().cloned().map(MetadataRecord::from));
    }
}

/// Access control entries by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AclsImage {
    by_id: Map<Uuid, Arc<AccessControlEntryRecord>>,
}

impl AclsImage {
    /// Every entry, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = &AccessControlEntryRecord> {
        self.by_id.values().map(|record| &**record)
    }

    pub(super) fn apply_entry(&mut self, record: &AccessControlEntryRecord) {
        self.by_id.insert_mut(record.id, Arc::new(owned(record)));
    }

    pub(super) fn apply_remove(&mut self, id: Uuid) {
        self.by_id.remove_mut(&id);
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.iter().cloned().map(MetadataRecord::from));
    }
}

/// SCRAM credentials (KIP-554) by mechanism and user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScramImage {
    by_user: Map<(i8, Str), Arc<UserScramCredentialRecord>>,
}

impl ScramImage {
    /// The credential of a user for a mechanism, by its number on the wire.
    pub fn credential(&self, mechanism: i8, user: &str) -> Option<&UserScramCredentialRecord> {
        self.by_user.get(&(mechanism, user.into())).map(|record| &**record)
    }

    /// Every credential, ascending by mechanism and user.
    pub fn iter(&self) -> impl Iterator<Item = &UserScramCredentialRecord> {
        self.by_user.values().map(|record| &**record)
    }

    pub(super) fn apply_credential(&mut self, record: &UserScramCredentialRecord) {
        self.by_user
            .insert_mut((record.mechanism, record.name.detached()), Arc::new(owned(record)));
    }

    pub(super) fn apply_remove(&mut self, record: &RemoveUserScramCredentialRecord) {
        self.by_user.remove_mut(&(record.mechanism, record.name.clone()));
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.iter().cloned().map(MetadataRecord::from));
    }
}

/// Delegation tokens (KIP-48) by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DelegationTokensImage {
    by_id: Map<Str, Arc<DelegationTokenRecord>>,
}

impl DelegationTokensImage {
    /// A token by its id.
    pub fn token(&self, id: &str) -> Option<&DelegationTokenRecord> {
        self.by_id.get(id).map(|record| &**record)
    }

    /// Every token, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = &DelegationTokenRecord> {
        self.by_id.values().map(|record| &**record)
    }

    pub(super) fn apply_token(&mut self, record: &DelegationTokenRecord) {
        self.by_id
            .insert_mut(record.token_id.detached(), Arc::new(owned(record)));
    }

    pub(super) fn apply_remove(&mut self, id: &str) {
        self.by_id.remove_mut(id);
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.iter().cloned().map(MetadataRecord::from));
    }
}
