"""Links that are slow, lose frames or are cut, between test hosts: the text goes on, and it is the same text."""
import time
import unittest

from e2e import Client, Cluster, main, random_prompt, run_clients, tiny_model
from lab import Lab

REQUESTS = [{"prompt": random_prompt(i, 50 + 100 * i, 590), "max_tokens": 120, "temperature": 0.9, "seed": 7 + i, "ignore_eos": True}
            for i in range(4)]


class LinksTest(unittest.TestCase):
    def cut_in_mid_answer(self, *pairs):
        """The answers with these directed links cut in mid-answer, beside the undisturbed ones."""
        with Lab(4, "delay=1ms", "rate=100mbit") as lab, Cluster(tiny_model(), workers=3, lab=lab) as cluster:
            cluster.wait_ready()
            undisturbed = run_clients(cluster, REQUESTS)
            clients = [Client(cluster, **body) for body in REQUESTS]
            while min(len(client.ids) for client in clients) < 20 and any(client.is_alive() for client in clients):
                time.sleep(0.01)
            for pair in pairs:
                lab.cut(*pair)
            self.assertEqual([client.answer for client in clients], undisturbed)
            for pair in pairs:
                lab.heal(*pair)
            self.assertEqual(run_clients(cluster, REQUESTS), undisturbed)
            return cluster.view()

    def stages(self, cluster):
        return [int(stage["name"][1:]) + 1 for stage in cluster.view()["plan"]["stages"]]

    def test_a_device_that_vanishes_from_the_network_changes_no_token(self):
        self.assertGreaterEqual(self.cut_in_mid_answer((2, "*"), ("*", 2))["recovery"]["devices_lost"], 1)

    def test_a_link_between_two_workers_that_is_cut_one_way_changes_no_token(self):
        self.cut_in_mid_answer((1, 2))

    def test_a_link_between_two_workers_that_is_cut_changes_no_token(self):
        self.cut_in_mid_answer((2, 3), (3, 2))

    def test_the_plan_states_the_links_it_measured(self):
        with Lab(4, "delay=5ms", "rate=50mbit") as lab, Cluster(tiny_model(), workers=3, lab=lab) as cluster:
            cluster.wait_ready()
            links = cluster.view()["links"]
            self.assertGreaterEqual(len(links), 6)
            for link in links:
                self.assertAlmostEqual(link["latency_seconds"], 0.005, delta=0.004)
                self.assertLess(link["bytes_per_second"], 8e6)

    def test_lost_frames_cost_time_and_no_token(self):
        with Lab(4, "delay=1ms") as lab, Cluster(tiny_model(), workers=3, lab=lab) as cluster:
            cluster.wait_ready()
            undisturbed = run_clients(cluster, REQUESTS)
            lab.say("set", "*", "*", "loss=0.02")
            self.assertEqual(run_clients(cluster, REQUESTS), undisturbed)


if __name__ == "__main__":
    main()
