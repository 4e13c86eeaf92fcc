"""Plumbline with a feature log that keeps nothing: what the log costs is the difference. Not a mode of the product."""

from asyncio import Future

import bentoml

from service.app import CONFIG, Plumbline
from service.featurelog.record import Request
from service.featurelog.writer import FeatureLog
from service.lane import LaneService
from service.settings import read_settings
from service.wiring import start_worker


class NoLog(FeatureLog):
    """Takes requests' records, encodes and writes none of them."""

    def append_request(self, record: Request) -> "Future[bool]":
        self.received += 1
        kept: Future[bool] = self.loop.create_future()
        kept.set_result(True)
        return kept


@bentoml.service(name="plumbline", service_class=LaneService, **CONFIG)
class Unlogged(Plumbline.inner):
    @bentoml.on_startup
    async def start(self) -> None:
        self.worker = worker = await start_worker(read_settings(), log_class=NoLog)
        self.bento_service.lane.open(worker.edge, worker.admission, worker.guard)
