//! Requests of groups and offsets that make no sense.

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode,
    messages::{JoinGroupRequest, join_group_request::JoinGroupRequestProtocol},
};
use ottla_tests::{
    client::{Client, code},
    raw::with_broker,
};

type Outcome = ottla_tests::Result<()>;

#[test]
fn groups_refuse_what_makes_no_sense() -> Outcome {
    with_broker("bad-groups", &[], |broker, _| {
        let mut client = broker.connect()?;
        let join = |group: &str, session_timeout_ms: i32, member: &str| {
            use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
            let protocol = JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: Bytes::from_static(b"m"),
            };
            JoinGroupRequest {
                group_id: group.into(),
                session_timeout_ms,
                rebalance_timeout_ms: 1000,
                member_id: member.into(),
                protocol_type: "consumer".into(),
                protocols: vec![protocol],
                ..Default::default()
            }
        };
        let mut answer = |request: &JoinGroupRequest| client.call(request, 5).map(|answer| code(answer.error_code));
        assert_eq!(answer(&join("", 10_000, ""))?, ErrorCode::InvalidGroupId);
        assert_eq!(answer(&join("g", 1, ""))?, ErrorCode::InvalidSessionTimeout);
        assert_eq!(answer(&join("g", i32::MAX, ""))?, ErrorCode::InvalidSessionTimeout);
        assert_eq!(answer(&join("g", 10_000, "nobody"))?, ErrorCode::UnknownMemberId);
        let mut without_protocols = join("g", 10_000, "");
        without_protocols.protocols.clear();
        assert_eq!(answer(&without_protocols)?, ErrorCode::InconsistentGroupProtocol);
        Ok(())
    })
}
