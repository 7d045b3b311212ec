//! Pager mode between two phones and the scripted server.

use oma_im::client::SendOutcome;
use oma_im::config::Transport;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::world::World;

#[test]
fn a_message_and_its_delivery_report() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut world = World::new(1);
        let alice = world.phone("alice", transport);
        let bob = world.phone("bob", transport);
        world.register_all();
        let hello = Outgoing::text("sip:bob@example.com", "Hello Bob").with_delivery_report();
        let id = world
            .act(alice, |client, now| client.send_message(now, &hello))
            .unwrap();
        world.run(3_000);
        println!("{}", oma_im::testkit::ladder::text(world.net.log()));
        assert_eq!(world.phones[bob].inbox[0].text(), "Hello Bob");
        assert!(world.saw(alice, |event| *event
            == Happened::Sent(id, SendOutcome::Delivered { status: 200 })));
        assert!(world.saw(
            alice,
            |event| matches!(event, Happened::Report { id: Some(of), .. } if *of == id)
        ));
    }
}
