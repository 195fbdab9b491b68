"""Crawls a made-up web with an async actor that fetches many pages at once."""

import asyncio

import ray

PAGES = {i: [(i * 2 + 1) % 64, (i * 3 + 2) % 64, (i + 5) % 64] for i in range(64)}


@ray.remote
class Crawler:
    def __init__(self):
        self.seen = set()
        self.most = 0
        self.now = 0

    async def fetch(self, page):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.005)
        self.now -= 1
        return PAGES[page]

    async def crawl(self, page):
        if page in self.seen:
            return 0
        self.seen.add(page)
        links = await self.fetch(page)
        found = await asyncio.gather(*[self.crawl(link) for link in links])
        return 1 + sum(found)

    async def most_at_once(self):
        return self.most


ray.init(num_cpus=1)
crawler = Crawler.remote()
pages = ray.get(crawler.crawl.remote(0))
assert pages == len(PAGES), pages
assert ray.get(crawler.most_at_once.remote()) > 1
print("crawled", pages)
