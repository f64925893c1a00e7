// SPDX-License-Identifier: GPL-2.0

//! Closings, as they go.

use super::*;

const FIN: Dsn = Dsn(1000);

fn established() -> Conn {
    let mut conn = Conn::connecting();
    assert_eq!(conn.on_established(), Actions::STATE_CHANGE);
    assert_eq!(conn, Conn::accepted());
    assert!(conn.may_receive());
    conn
}

#[test]
fn active_close() {
    let mut conn = established();
    let actions = conn.on_local_shutdown(FIN);
    assert!(actions.contains(Actions::SEND_DATA_FIN));
    assert_eq!(conn.state(), State::FinWait1);
    assert!(conn.fin_pending());
    assert!(conn.on_data_ack(FIN).is_none());
    assert_eq!(conn.on_data_ack(FIN.add(1)), Actions::STATE_CHANGE);
    assert_eq!(conn.state(), State::FinWait2);
    assert!(!conn.fin_pending());
    let actions = conn.on_data_fin();
    assert!(actions.contains(Actions::EOF.and(Actions::SEND_ACK)));
    assert!(actions.contains(Actions::SHUTDOWN_SUBFLOWS));
    assert_eq!(conn.state(), State::Close);
}

#[test]
fn passive_close() {
    let mut conn = established();
    let actions = conn.on_data_fin();
    assert!(actions.contains(Actions::EOF.and(Actions::SEND_ACK)));
    assert_eq!(conn.state(), State::CloseWait);
    assert!(!conn.may_receive());
    // There is only one.
    assert!(conn.on_data_fin().is_none());
    assert!(conn.on_local_shutdown(FIN).contains(Actions::SEND_DATA_FIN));
    assert_eq!(conn.state(), State::LastAck);
    assert!(conn
        .on_data_ack(FIN.add(1))
        .contains(Actions::SHUTDOWN_SUBFLOWS));
    assert_eq!(conn.state(), State::Close);
}

#[test]
fn simultaneous_close() {
    let mut conn = established();
    let _ = conn.on_local_shutdown(FIN);
    let _ = conn.on_data_fin();
    assert_eq!(conn.state(), State::Closing);
    assert!(conn.fin_pending());
    let _ = conn.on_data_ack(FIN.add(1));
    assert_eq!(conn.state(), State::Close);
}

#[test]
fn a_reset_ends_the_connection() {
    let mut conn = established();
    let actions = conn.on_reset();
    assert!(actions.contains(Actions::RESET_SUBFLOWS));
    assert_eq!(actions.error, Some(ConnError::Reset));
    assert_eq!(conn.state(), State::Close);
    assert!(conn.on_reset().is_none());
    assert!(conn.on_local_abort().is_none());
}

#[test]
fn the_error_of_a_reset_depends_on_the_state() {
    let mut conn = Conn::connecting();
    assert_eq!(conn.on_reset().error, Some(ConnError::Refused));
    let mut conn = established();
    let _ = conn.on_data_fin();
    assert_eq!(conn.on_reset().error, Some(ConnError::BrokenPipe));
}

#[test]
fn an_abort_is_a_fastclose() {
    let mut conn = established();
    assert!(conn.on_local_abort().contains(Actions::SEND_FASTCLOSE));
    let mut conn = established();
    let _ = conn.on_fallback();
    assert!(conn.on_local_abort().contains(Actions::RESET_SUBFLOWS));
    let mut conn = Conn::connecting();
    assert!(conn.on_local_abort().contains(Actions::RESET_SUBFLOWS));
}

#[test]
fn plain_tcp_closes_with_fins() {
    let mut conn = established();
    assert!(conn.on_subflow_fin().is_none());
    assert!(conn.on_fallback().is_none());
    assert!(conn.on_data_fin().is_none());
    let actions = conn.on_subflow_fin();
    assert!(actions.contains(Actions::EOF) && !actions.contains(Actions::SEND_ACK));
    assert!(conn.on_subflow_fin().is_none());
    let actions = conn.on_local_shutdown(FIN);
    assert!(actions.contains(Actions::SHUTDOWN_SUBFLOWS));
    assert!(!actions.contains(Actions::SEND_DATA_FIN));
    let _ = conn.on_data_ack(FIN.add(1));
    assert_eq!(conn.state(), State::Close);
}

#[test]
fn a_fallback_turns_a_data_fin_into_a_fin() {
    let mut conn = established();
    let _ = conn.on_local_shutdown(FIN);
    assert_eq!(conn.on_fallback(), Actions::SHUTDOWN_SUBFLOWS);
    assert!(conn.on_fallback().is_none());
}

#[test]
fn a_connection_outlives_its_subflows_for_a_while() {
    let mut conn = established();
    assert!(conn.on_subflow_close(false, false).is_none());
    assert_eq!(
        conn.on_subflow_close(true, false),
        Actions::START_CLOSE_TIMER
    );
    assert_eq!(conn.on_close_timeout().error, Some(ConnError::TimedOut));
    assert!(conn.on_close_timeout().is_none());
    let mut orphan = established();
    assert_eq!(orphan.on_subflow_close(true, true), Actions::STATE_CHANGE);
    assert_eq!(orphan.state(), State::Close);
    let mut closing = established();
    let _ = closing.on_local_shutdown(FIN);
    let actions = closing.on_subflow_close(true, false);
    assert_eq!(actions.error, Some(ConnError::Reset));
    assert_eq!(closing.state(), State::Close);
    let mut done = established();
    let _ = done.on_data_fin();
    let _ = done.on_local_shutdown(FIN);
    assert_eq!(done.on_subflow_close(true, false).error, None);
}

#[test]
fn shutting_down_twice_or_before_the_beginning_does_nothing() {
    let mut conn = established();
    let _ = conn.on_local_shutdown(FIN);
    assert!(conn.on_local_shutdown(FIN.add(1)).is_none());
    let mut conn = Conn::connecting();
    assert_eq!(conn.on_local_shutdown(FIN), Actions::STATE_CHANGE);
    assert_eq!(conn.state(), State::Close);
    assert!(conn.on_established().is_none());
}
